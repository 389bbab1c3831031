"""Who did what: records, what is masked in them, and where they go."""
