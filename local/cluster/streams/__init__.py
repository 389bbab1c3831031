"""exec: the streams of a command over a WebSocket, with the subprotocols v4 and v5 of Kubernetes."""
