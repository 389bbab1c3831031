"""``python -m tests.support.without_namespaces COMMAND...`` runs a command where namespaces are refused.

The kernel answers as in a container under Docker's default seccomp profile, where nobody may make or enter a
namespace: ``unshare`` and ``setns`` end with EPERM, and so does ``clone`` when it asks for one. Signals to
process 1 and to everybody (-1) are refused too: what a pod says to these in namespaces of its own would
reach the machine. All of it holds for everything that the command starts, and cannot be taken back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_NO_NEW_PRIVS, _SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUALS, _ANY_OF, _RETURN = 0x20, 0x15, 0x45, 0x06
_NAMESPACES = 0x7E020000  # every CLONE_NEW* that stands in the flags of clone
_EVERYBODY = 0xFFFFFFFF  # -1
# Numbers of unshare, setns, clone, clone3 (which has the same everywhere) and kill.
_CALLS = {"x86_64": (272, 308, 56, 435, 62), "aarch64": (97, 268, 220, 435, 129)}


def refuse_namespaces() -> None:
    """Refuses new namespaces to this process and to all that it starts.

    Raises:
        OSError: The kernel has no seccomp, or the machine's architecture is not known here.
    """
    if platform.machine() not in _CALLS:
        raise OSError(errno.ENOSYS, f"no system call numbers for {platform.machine()}")
    unshare, setns, clone, clone3, kill = _CALLS[platform.machine()]
    program = b"".join(
        struct.pack("HBBI", *line)
        for line in (
            (_LOAD, 0, 0, 0),  # the call's number
            (_EQUALS, 11, 0, unshare),
            (_EQUALS, 10, 0, setns),
            (_EQUALS, 3, 0, clone),
            (_EQUALS, 9, 0, clone3),
            (_EQUALS, 3, 0, kill),
            (_RETURN, 0, 0, _ALLOW),
            (_LOAD, 0, 0, 16),  # the lower half of its first argument
            (_ANY_OF, 4, 3, _NAMESPACES),
            (_LOAD, 0, 0, 16),
            (_EQUALS, 2, 0, 1),
            (_EQUALS, 1, 0, _EVERYBODY),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _ERRNO | errno.EPERM),
            (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),  # the C library falls back to clone
        )
    )
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program)
    length = len(program) // 8
    described = ctypes.create_string_buffer(struct.pack("HxxxxxxP", length, ctypes.addressof(code)))
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _MODE_FILTER, described, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp is refused")


if __name__ == "__main__":
    refuse_namespaces()
    os.execvp(sys.argv[1], sys.argv[1:])
