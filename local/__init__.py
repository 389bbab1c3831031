"""The laptop edition: Kubernetes API emulator, gateway, demo. Never deployed."""
