"""Runs a command in a container: the WebSocket, the supervisor in the pod, and the verdict."""
