"""Texts of the Train tab."""

TEXTS: dict[str, tuple[str, str]] = {}
