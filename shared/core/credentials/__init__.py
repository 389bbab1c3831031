"""GAM's credential files: the checks of their content, and the use cases."""
