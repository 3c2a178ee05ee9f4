"""The command line: prints, decides nothing."""
