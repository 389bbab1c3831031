"""Adapters that keep sessions: Firestore and SQLite."""
