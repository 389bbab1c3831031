"""Composes the root folder of a container from the folders of this machine and the pod's volumes."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from .model import Mount

# Every container has its own of these; the rest of the machine's root is the same inside.
_OWN = ("proc", "tmp")
# Device nodes and kernel settings stay writable: read-only mounts of them break terminals and /dev/null.
_WRITABLE = ("dev", "sys")
_FLAGS = (
    (os.ST_NOSUID, "nosuid"),
    (getattr(os, "ST_NODEV", 0), "nodev"),
    (getattr(os, "ST_NOEXEC", 0), "noexec"),
    (getattr(os, "ST_NOATIME", 0), "noatime"),
    (getattr(os, "ST_NODIRATIME", 0), "nodiratime"),
    (getattr(os, "ST_RELATIME", 0), "relatime"),
)


def compose_root(root: Path, mounts: Iterable[Mount]) -> str:
    """Make the skeleton of a container's root and return the fstab that fills it.

    Folders of this machine are bound read-only. A folder in which a volume must appear is made anew, and its
    children are bound one by one, so that no mount point is ever created outside the emulator's directory.

    Args:
        root: The folder to make and to compose in.
        mounts: What to mount, and where.

    Returns:
        Lines for ``mount --all --fstab``, in the order in which they must be mounted.
    """
    root.mkdir(parents=True, exist_ok=True)
    points = {_place(mount.path): mount for mount in mounts}
    lines = [f"{_escape(root)} {_escape(root)} none bind 0 0"]
    lines += _bind_children(root, (), points)
    for own in _OWN:
        if (own,) not in points:
            (root / own).mkdir(exist_ok=True)
            (root / own).chmod(0o1777)
    lines.append(f"proc {_escape(root / 'proc')} proc nosuid,nodev,noexec 0 0")
    for place in sorted(points, key=len):
        lines.append(_bind_volume(root, place, points))
    return "\n".join(lines) + "\n"


def _place(path: str) -> tuple[str, ...]:
    """Return the real place of a mount path, whose parents may be links on this machine (``/var/run``)."""
    parent, name = os.path.split(os.path.normpath(path))
    return tuple(Path(os.path.realpath(parent), name).parts[1:])


def _bind_children(root: Path, place: tuple[str, ...], points: dict[tuple[str, ...], Mount]) -> Iterator[str]:
    host = Path("/", *place)
    for entry in sorted(os.scandir(host), key=lambda entry: entry.name) if host.is_dir() else ():
        child = (*place, entry.name)
        target = root.joinpath(*child)
        if child in points or (not place and entry.name in _OWN):
            continue
        if entry.is_symlink():
            target.symlink_to(Path(entry.path).readlink())
        elif entry.is_dir() and any(point[: len(child)] == child for point in points):
            target.mkdir()
            yield from _bind_children(root, child, points)
        else:
            target.mkdir() if entry.is_dir() else target.touch()
            yield _line(Path(entry.path), target, "rbind", read_only=child[0] not in _WRITABLE)


def _bind_volume(root: Path, place: tuple[str, ...], points: dict[tuple[str, ...], Mount]) -> str:
    mount = points[place]
    outer = max(
        (other for other in points if other == place[: len(other)] and other != place), default=None, key=len
    )
    # A mount point inside another volume must exist in that volume.
    base = root if outer is None else points[outer].source
    point = base.joinpath(*place[len(outer or ()) :])
    if mount.source.is_dir():
        point.mkdir(parents=True, exist_ok=True)
    else:
        point.parent.mkdir(parents=True, exist_ok=True)
        point.touch()
    return _line(mount.source, root.joinpath(*place), "rbind", read_only=mount.read_only)


def _line(source: Path, target: Path, kind: str, *, read_only: bool) -> str:
    options = [kind]
    if read_only:
        # In a user namespace, a remount must keep the flags with which the original mount is locked.
        held = os.statvfs(source).f_flag
        options += ["ro", *(name for flag, name in _FLAGS if held & flag)]
    return f"{_escape(source)} {_escape(target)} none {','.join(options)} 0 0"


def _escape(path: Path) -> str:
    text = str(path).replace("\\", "\\134")
    for character in " \t\n#":
        text = text.replace(character, f"\\{ord(character):03o}")
    return text
