"""The parts of every connection to a cluster: trust, authorization, its renewal, and addresses."""
