"""Files of a session's workspace: which paths there are, what is sent into the pod and what it answers."""
