"""`python -m headcheck`."""

import sys

from headcheck.cli import main

if __name__ == "__main__":
    sys.exit(main())
