"""Texts of the Compare tab."""

TEXTS: dict[str, tuple[str, str]] = {}
