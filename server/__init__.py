"""All functions in one process: for a laptop, a cluster, or one public service."""
