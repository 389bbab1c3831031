"""Adapters that record who did what."""
