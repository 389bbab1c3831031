"""Credentials: Secrets in the cluster, and copies in session pods."""
