"""`python -m qwenlab` is the command line; the page starts its long jobs this way."""

import sys

from qwenlab.cli import main

if __name__ == "__main__":
    sys.exit(main())
