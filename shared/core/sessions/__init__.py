"""The session: what it is, which states it has, who may use it, and the use cases."""
