"""Recipe, tokens and labels, the training process, and its runs."""
