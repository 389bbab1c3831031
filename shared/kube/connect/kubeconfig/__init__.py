"""The connection that a kubeconfig file describes."""
