"""Rules and use cases. Nothing here imports a third party's package or an adapter."""
