"""The node: schedules pods, runs their containers and reports what became of them."""
