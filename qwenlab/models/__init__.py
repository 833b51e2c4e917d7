"""Which models exist, getting one, loading base and adapters once, and what it means to answer."""
