"""Builds the session image as a folder with its root filesystem: ``python -m local.rootfs FOLDER``.

It needs no container engine and no registry. In the folder are this machine's Python, GAM from the image's
lock, and busybox for everything else. Whoever has a cluster makes an image of the folder (for example with
``tar -C FOLDER -c . | docker import -``) and tests what needs Python in the pod. The image that is deployed
is another one: images/gam-session/Dockerfile builds it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from local.environment import InstallError
from local.images import prepare_image

_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_USER = 1000
_FOLDERS = ("home/gam", "workspace", "var/lib/gamgui/jobs", "var/lib/gamgui/credentials")
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_FILES = {
    "etc/passwd": f"root:x:0:0:root:/root:/bin/sh\ngam:x:{_USER}:{_USER}:gam:/home/gam:/bin/sh\n",
    "etc/group": f"root:x:0:\ngam:x:{_USER}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
_UNUSED = shutil.ignore_patterns(
    "__pycache__", "site-packages", "dist-packages", "test", "idlelib", "tkinter", "ensurepip", "config-*"
)
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)


def build(folder: Path, gam: Path) -> None:
    """Fills the folder.

    Args:
        folder: The new root. It must be empty or not exist.
        gam: The local image's folder, from ``prepare_image``.

    Raises:
        InstallError: The folder is not empty, or this machine has no busybox that is linked statically.
        OSError: A file cannot be copied.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InstallError(f"{folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    _busybox(folder)
    _python(folder)
    _gam(folder, gam)
    for library in _libraries(folder):
        _copy(library, folder / library.relative_to("/"))
    for name, content in _FILES.items():
        _parent(folder / name).write_text(content)
    if Path("/", _CERTIFICATES).exists():
        _copy(Path("/", _CERTIFICATES), folder / _CERTIFICATES)
    (folder / "tmp").mkdir(mode=0o1777)
    (folder / "tmp").chmod(0o1777)  # mkdir heeds the umask
    for name in _FOLDERS:
        (folder / name).mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(folder / name, _USER, _USER)


def _busybox(folder: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is None or _LIBRARY.search(_ldd(Path(busybox))):
        raise InstallError("busybox is needed, linked statically (busybox-static)")
    _copy(Path(busybox), folder / "bin/busybox")
    listed = subprocess.run([busybox, "--list-full"], capture_output=True, text=True, check=True).stdout
    for applet in listed.split():
        if not (folder / applet).exists():
            _parent(folder / applet).symlink_to("/bin/busybox")


def _python(folder: Path) -> None:
    """Copies the interpreter to /usr/local: it finds its library by the place where it is itself."""
    base = {"installed_base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    interpreter = Path(sysconfig.get_path("scripts", vars={"base": sys.base_prefix})) / _PYTHON
    _copy(interpreter if interpreter.exists() else Path(sys.executable), folder / "usr/local/bin" / _PYTHON)
    for name in ("python3", "python"):
        (folder / "usr/local/bin" / name).symlink_to(_PYTHON)
    library = folder / "usr/local/lib" / _PYTHON
    shutil.copytree(sysconfig.get_path("stdlib", vars=base), library, ignore=_UNUSED)


def _gam(folder: Path, gam: Path) -> None:
    packages = folder / "opt/gam"
    unused = shutil.ignore_patterns(
        "pip*", "documents"
    )  # descriptions of Google's APIs, as in the Dockerfile
    shutil.copytree(gam / "lib" / _PYTHON / "site-packages", packages, ignore=unused)
    _, _, program = (gam / "bin/gam").read_text().partition("\n")
    script = folder / "usr/local/bin/gam"
    script.write_text(f"#!/usr/local/bin/{_PYTHON}\nimport sys\nsys.path.insert(0, '/opt/gam')\n{program}")
    script.chmod(0o755)


def _libraries(folder: Path) -> Iterator[Path]:
    """The shared libraries of the interpreter and of all extension modules, at the paths where they look."""
    programs = [folder / "usr/local/bin" / _PYTHON, *folder.rglob("*.so"), *folder.rglob("*.so.*")]
    found = {Path(path) for path in _LIBRARY.findall(_ldd(*programs))}
    yield from sorted(path for path in found if not path.is_relative_to(folder))


def _ldd(*programs: Path) -> str:
    return subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout


def _copy(source: Path, target: Path) -> None:
    shutil.copy2(source, _parent(target))


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m local.rootfs", description=__doc__)
    parser.add_argument("folder", type=Path, help="the new root, empty or not there yet")
    try:
        build(parser.parse_args().folder, prepare_image())
    except (InstallError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"The root filesystem is not there: {error}")
