"""Session pods: their manifest, their life and what their status says."""
