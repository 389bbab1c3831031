"""Rules and use cases. No module here imports a third-party package or an adapter."""
