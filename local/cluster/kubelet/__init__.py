"""The node: schedules pods, runs their containers and reports their status."""
