"""The cluster that executes nothing: for clients developed without one, and for tests."""
