"""Traces and metrics: what is told, and to whom."""
