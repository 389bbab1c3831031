"""Makes the local session image: GAM in a virtual environment. An image of the local cluster is a folder."""

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
    """Installs GAM into the image's folder, unless the packages of the same lock are there.

    A stamp says which lock is installed. It is removed before anything is changed and written when all is
    done, so that an installation that broke off is repeated.

    Args:
        images: Folder of the local cluster's images.
        lock: The file that lists every package of the image with its version and hashes.

    Returns:
        The image's folder.

    Raises:
        InstallError: A package cannot be installed, or this Python makes no environments.
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
