"""One module for each subject; `inkev.cli.tree` says which command is where, and imports it when it is called."""
