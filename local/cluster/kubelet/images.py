"""Images: folders of this machine that containers use under a name."""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

BUSYBOX = "localhost/busybox:1"
_REFERENCE = re.compile(
    r"([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is present on the node.

    Attributes:
        name: The requested name.
        env: Its environment; PATH is absolute.
        folder: The folder that has to be visible in the container; None if the machine itself is enough.
    """

    name: str
    env: Mapping[str, str]
    folder: Path | None = None

    @property
    def id(self) -> str:
        """A digest in the form of image ids, derived from the name."""
        return "sha256:" + hashlib.sha256(self.name.encode()).hexdigest()


def is_reference(name: str) -> bool:
    """Return whether a registry can have an image of this name, whose path must be in lower case.

    The grammar: https://github.com/distribution/reference.
    """
    return _REFERENCE.fullmatch(name) is not None


class Images:
    """The images in one folder, each a subfolder with an ``image.json``.

    ``image.json`` holds ``{"names": ["gam-session:local"], "env": {"PATH": "bin"}}``. Relative entries of
    PATH start from the image's folder, so that a Python virtual environment can be an image without changes.
    ``localhost/busybox:1`` always exists: it is this machine's own shell and tools.

    Args:
        folder: The folder of images, or None for busybox only.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder.absolute() if folder is not None else None

    def find(self, name: str) -> Image | None:
        """Return the image with that name, or None. Each call reads the folder, as images may be added."""
        if name == BUSYBOX:
            return Image(name, {"PATH": _SYSTEM_PATH})
        for manifest in sorted(self._folder.glob("*/image.json")) if self._folder is not None else ():
            image = _read(manifest, name)
            if image is not None:
                return image
        return None


def _read(manifest: Path, name: str) -> Image | None:
    try:
        content = json.loads(manifest.read_bytes())
        names, env = content["names"], dict(content.get("env", {}))
        if name not in names:
            return None
        path = [str(manifest.parent / entry) for entry in env.get("PATH", "").split(":") if entry]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        _log.warning("%s is not an image: %s", manifest, error)
        return None
    missing = [entry for entry in _SYSTEM_PATH.split(":") if entry not in path]
    return Image(name, {**env, "PATH": ":".join(path + missing)}, manifest.parent)
