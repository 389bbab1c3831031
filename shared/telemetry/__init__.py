"""Traces and metrics, and the collector that gets them."""
