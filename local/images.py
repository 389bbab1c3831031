"""The local session image: GAM in a virtual environment, as the local cluster's images are folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from local.gateway import ROOT

IMAGES = Path(".local/images").resolve()
LOCAL_IMAGE = "gam-session:local"
_REQUIREMENTS = ROOT / "images/gam-session/requirements.txt"


def prepare_image() -> Path:
    """Installs GAM into the image's folder, unless the same version is there.

    Returns:
        The image's folder.
    """
    folder = IMAGES / "gam-session"
    stamp = folder / "installed.txt"
    wanted = _REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    print("Installing GAM into the local session image (once; takes a minute) ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(_REQUIREMENTS)], check=True)
    subprocess.run([str(folder / "bin/python"), "-m", "compileall", "-q", str(folder / "lib")], check=False)
    path = os.pathsep.join(("bin", "/usr/local/bin", "/usr/bin", "/bin"))
    (folder / "image.json").write_text(json.dumps({"names": [LOCAL_IMAGE], "env": {"PATH": path}}))
    stamp.write_text(wanted)
    return folder


if __name__ == "__main__":
    print(prepare_image())
