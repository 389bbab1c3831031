"""What is served over WebSocket: the same entry as HTTP, and close codes in place of status codes."""
