"""Plumbing of HTTP that knows no resource."""
