"""GAM's credential files: what a right one looks like, and the use cases."""
