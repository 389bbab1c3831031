"""Reads kubeconfig files and the files that they name. The functions block: call them in a thread."""

from __future__ import annotations

from pathlib import Path

from shared.errors import ConnectionFailed
from shared.kube.connect.kubeconfig.fields import Origin, invalid
from shared.reasons import Reason

_MAX_BYTES = 1024 * 1024


def read_file(name: str) -> bytes | None:
    """A kubeconfig file's content; None if there is no such file.

    Raises:
        ConnectionFailed: The file exists, but cannot be read or is larger than 1 MiB.
    """
    try:
        return _read(Path(name))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConnectionFailed(
            f"the kubeconfig file {name} cannot be read ({_words(error)}); "
            "check its path, size and permissions",
            reason=Reason.KUBECONFIG_UNREADABLE,
            file=name,
        ) from error


def read_reference(path: str, origin: Origin, what: str) -> bytes:
    """The content of a file that a kubeconfig names.

    Args:
        path: The file's path as the kubeconfig has it.
        origin: The kubeconfig.
        what: The entry that names the file, for messages.

    Raises:
        ConnectionFailed: The file cannot be read or is larger than 1 MiB.
    """
    place = resolve_path(path, origin, what)
    try:
        return _read(place)
    except (OSError, ValueError) as error:
        raise ConnectionFailed(
            f"{origin.label} names {path!r} as {what}, which cannot be read ({_words(error)}); "
            "correct the path, or embed the content: kubectl config view --flatten --raw",
            reason=Reason.KUBECONFIG_REFERENCE_UNREADABLE,
            file=origin.label,
        ) from error


def resolve_path(path: str, origin: Origin, what: str) -> Path:
    """The path, relative to the kubeconfig file's folder.

    Raises:
        ConnectionFailed: The path is relative, and the kubeconfig is not in a file.
    """
    if origin.folder is None and not Path(path).is_absolute():
        raise invalid(
            origin,
            f"names {path!r} as {what}, relative to no file; "
            "embed the content: kubectl config view --flatten --raw",
        )
    return (origin.folder or Path()) / path


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError("larger than 1 MiB")
    return content


def _words(error: OSError | ValueError) -> str:
    return (error.strerror or "error") if isinstance(error, OSError) else str(error)
