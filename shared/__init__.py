"""What the Cloud Run functions share, in layers: see docs/architecture.md."""
