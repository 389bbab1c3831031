"""Adapter to Kubernetes: connection, REST, exec, pod manifests."""
