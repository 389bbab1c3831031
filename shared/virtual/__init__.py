"""A cluster that executes nothing, for tests and for developing clients without a real cluster."""
