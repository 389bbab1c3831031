"""Jobs in session pods."""
