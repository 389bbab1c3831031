"""Translates paths inside a container into paths of this machine.

Every exec uses this module; plain strings are several times faster than ``pathlib``.
"""

# ruff: noqa: PTH115, PTH116, PTH118

import os
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

_MAX_LINKS = 40
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class PathView:
    """Maps paths inside a container to paths of this machine.

    Args:
        mounts: Path on this machine of each mounted path of the container. All other paths are the same
            inside and outside.
    """

    def __init__(self, mounts: Mapping[str, Path]) -> None:
        # The longest first, so that a mount inside another mount wins.
        self._mounts = sorted(((_parts(path), source) for path, source in mounts.items()), key=_depth)

    def outside(self, path: str) -> str:
        """Return the path on this machine of an absolute path without symbolic links."""
        parts = _parts(path)
        for prefix, source in self._mounts:
            if parts[: len(prefix)] == prefix:
                return os.path.join(source, *parts[len(prefix) :])
        return "/" + "/".join(parts)

    def resolve(self, path: str) -> str:
        """Return the path on this machine of a path inside; symbolic links are followed as they look inside.

        Raises:
            OSError: The path does not exist, or its links form a circle.
        """
        pending = list(reversed(_parts(path)))
        reached: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                reached = reached[:-1]
                continue
            here = self.outside("/".join(("", *reached, part)))
            if stat.S_ISLNK(os.lstat(here).st_mode):
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(f"too many levels of symbolic links: {path}")
                target = os.readlink(here)
                reached = [] if target.startswith("/") else reached
                pending.extend(reversed(_parts(target)))
            else:
                reached.append(part)
        return self.outside("/" + "/".join(reached))

    def find_executable(self, name: str, env: Mapping[str, str], working_dir: str) -> str:
        """Return the path inside the container of the executable that ``name`` means.

        Args:
            name: A path, or a bare name to look up in PATH.
            env: Environment of the container; only PATH is read.
            working_dir: The folder from which a relative path starts.

        Raises:
            FileNotFoundError: There is no such file; the message is worded as by runc.
            PermissionError: The file is there but cannot be executed.
        """
        if "/" in name:
            path = os.path.join(working_dir, name)
            try:
                mode = os.stat(self.resolve(path)).st_mode
            except OSError:
                raise FileNotFoundError(f'exec: "{name}": stat {name}: no such file or directory') from None
            if stat.S_ISDIR(mode):
                raise PermissionError(f'exec: "{name}": is a directory')
            if not mode & 0o111:
                raise PermissionError(f'exec: "{name}": permission denied')
            return path
        for folder in env.get("PATH", _DEFAULT_PATH).split(":"):
            candidate = os.path.join(working_dir, folder, name)
            try:
                mode = os.stat(self.resolve(candidate)).st_mode
            except OSError:
                continue
            if stat.S_ISREG(mode) and mode & 0o111:
                return candidate
        raise FileNotFoundError(f'exec: "{name}": executable file not found in $PATH')


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in PurePosixPath(path).parts if part != "/")


def _depth(mount: tuple[tuple[str, ...], Path]) -> int:
    return -len(mount[0])
