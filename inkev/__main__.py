"""`python -m inkev` is `inkev`."""

import sys

from inkev.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
