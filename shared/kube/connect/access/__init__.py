"""What every way to a cluster is made of: trust, authorization, its renewal, and addresses."""
