"""One module per resource: JSON and what requests ask for."""
