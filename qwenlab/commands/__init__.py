"""The verbs of the command line, one module per room of the lab. The page starts the same verbs as jobs."""
