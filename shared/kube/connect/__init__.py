"""From settings to a connected cluster."""
