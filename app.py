"""Starts the page, as `qwenlab lab` does: python app.py [--port 7860] [--listen] [--model M] [--workspace DIR]."""

from __future__ import annotations

import sys

from qwenlab import cli

if __name__ == "__main__":
    sys.exit(cli.main(["lab", *sys.argv[1:]]))
