"""Clusters: which cluster a session is on, and whether this instance sees that cluster."""
