"""Runs a command in a container: the WebSocket and its life, the supervisor in the pod, and the verdict."""
