"""Qwenlab: edit conversations, fine-tune a small Qwen, compare, test, export.

Importing the package costs nothing: torch, transformers and gradio are imported where they compute.
"""

__version__ = "0.1.0"
