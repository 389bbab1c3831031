"""Runs containers on this machine: in their own namespaces, or as plain process groups."""
