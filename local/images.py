"""The local session image: GAM in a virtual environment, as the local cluster's images are folders."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from local.environment import InstallError, prepare
from server.functions import ROOT

IMAGES = Path(".local/images").resolve()
LOCAL_IMAGE = "gam-session:local"
_LOCK = ROOT / "images/gam-session/requirements.lock"


def prepare_image(images: Path = IMAGES, lock: Path = _LOCK) -> Path:
    """Installs GAM into the image's folder, unless the same lock's packages are there.

    The stamp that says so goes before anything is changed and comes back when all is done, so
    that what broke off is done again.

    Args:
        images: Folder of the local cluster's images.
        lock: Every package of the image with its version and hashes.

    Returns:
        The image's folder.

    Raises:
        InstallError: A package is not to be had, or this Python makes no environments.
    """
    folder = images / "gam-session"
    stamp = folder / "installed.txt"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    stamp.unlink(missing_ok=True)
    print("Installing GAM into the local session image (once; takes a minute) ...", flush=True)
    prepare(folder, lock)
    subprocess.run([str(folder / "bin/python"), "-m", "compileall", "-q", str(folder / "lib")], check=False)
    path = os.pathsep.join(("bin", "/usr/local/bin", "/usr/bin", "/bin"))
    (folder / "image.json").write_text(json.dumps({"names": [LOCAL_IMAGE], "env": {"PATH": path}}))
    written = stamp.with_suffix(".new")
    written.write_text(wanted)
    written.replace(stamp)
    return folder


if __name__ == "__main__":
    try:
        print(prepare_image())
    except (InstallError, OSError) as error:
        sys.exit(f"The local session image is not there: {error}")
