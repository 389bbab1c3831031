"""What ends, finishes, deletes and forgets sessions whose time has come."""
