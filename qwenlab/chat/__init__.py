"""Contestants and their streams: whoever can answer, one at a time or side by side."""
