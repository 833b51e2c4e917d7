"""The page: one module per tab, shared components, and every text in two languages."""
