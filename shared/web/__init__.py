"""HTTP: request parsing, identity check, errors to responses, streaming."""
