"""One module per resource: its JSON, and the reading of requests about it."""
