"""The HTTP face of the cluster: requests in, objects and Status errors out."""
