"""A thin client of the Kubernetes API, which knows no session."""
