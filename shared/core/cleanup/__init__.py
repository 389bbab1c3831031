"""Cleanup: it ends, deletes and forgets sessions whose time has come, and finishes interrupted work."""
