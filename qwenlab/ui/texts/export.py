"""Texts of the Export tab."""

TEXTS: dict[str, tuple[str, str]] = {}
