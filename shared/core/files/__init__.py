"""Files of a session's workspace: paths, the scripts that do the work in the pod, and the use cases."""
