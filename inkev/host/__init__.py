"""One host: install, plan, execute, recover; reaches drivers only through its protocols."""
