"""Lets these tests import `tests/fakes.py`, and hypothesis take its time on a busy machine."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
