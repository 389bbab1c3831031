"""exec: a command's streams over a WebSocket, as the subprotocols v4 and v5 of Kubernetes have them."""
