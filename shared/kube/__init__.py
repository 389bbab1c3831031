"""Adapter to Kubernetes."""
