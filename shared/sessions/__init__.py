"""The session: its states, its names, the ports it needs and the use cases."""
