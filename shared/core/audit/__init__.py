"""Audit: records of who did what, the masking of secrets in them, and where they are kept."""
