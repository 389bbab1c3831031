"""Files of a session's workspace: paths, the scripts that work in the pod, and the use cases."""
