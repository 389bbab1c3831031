"""Makes the messages of the status channel: how a command ended, or why it did not start."""

import hashlib
import json
import uuid

from ..objects import Object


def success() -> bytes:
    """Return the status of a command that ended with 0."""
    return _encode({"metadata": {}, "status": "Success"})


def exited(code: int) -> bytes:
    """Return the status of a command that ended with another code."""
    message = f"command terminated with non-zero exit code: command terminated with exit code {code}"
    details = {"causes": [{"reason": "ExitCode", "message": str(code)}]}
    status: Object = {"metadata": {}, "status": "Failure", "message": message, "reason": "NonZeroExitCode"}
    return _encode({**status, "details": details})


def not_started(error: str) -> bytes:
    """Return the status of a command that could not be started; ``error`` is worded as by runc."""
    runtime = "OCI runtime exec failed: exec failed: unable to start container process"
    return _failed(f'failed to start exec "{_digest()}": {runtime}: {error}: unknown')


def not_running(container_id: str) -> bytes:
    """Return the status for a container that has ended."""
    task = container_id.removeprefix("containerd://") or _digest()
    return _failed(f"failed to load task: no running task found: task {task} not found: not found")


def _failed(error: str) -> bytes:
    cause = (
        f"Internal error occurred: error executing command in container: failed to exec in container: {error}"
    )
    status: Object = {"metadata": {}, "status": "Failure", "message": f"Internal error occurred: {cause}"}
    status |= {"reason": "InternalError", "details": {"causes": [{"message": cause}]}, "code": 500}
    return _encode(status)


def _digest() -> str:
    return hashlib.sha256(uuid.uuid4().bytes).hexdigest()


def _encode(status: Object) -> bytes:
    return json.dumps(status, separators=(",", ":")).encode()
