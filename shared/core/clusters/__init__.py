"""Which cluster something is on, and who sees that cluster."""
