"""How containers run on this machine: in namespaces of their own, or as plain process groups."""
