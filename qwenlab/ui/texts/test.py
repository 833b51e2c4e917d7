"""Texts of the Test tab."""

TEXTS: dict[str, tuple[str, str]] = {}
