"""The connection to a GKE cluster, without kubeconfig and gcloud."""
