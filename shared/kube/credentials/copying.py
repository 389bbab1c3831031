"""Credentials in session pods: where they are, and the adapter behind ``CredentialRuntime``."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator, Sequence

from shared.core.commands import SHELL, Command, ExecResult, Exit
from shared.core.credentials.model import Credentials
from shared.core.held import Held, short_answer
from shared.core.sessions.model import Session
from shared.core.sessions.ports import PodRuntime
from shared.errors import ClusterUnavailable, NotFound, UnprocessableRequest
from shared.kube.jobs.runtime import JOBS
from shared.reasons import Reason

HOME = "/home/gam"
GAM_FOLDER = f"{HOME}/.gam"
MOUNTED = "/var/lib/gamgui/credentials"
"""Where the owner's Secret is mounted, read-only. GAM rewrites oauth2.txt, so it gets copies."""

COPIED = f"{JOBS}/.copied"
"""The file that the pod's main process creates when it has made the home; supervisor.sh waits for it."""

_MAKE_FOLDER = f"""\
umask 077
mkdir -p {GAM_FOLDER} && chmod g-s {GAM_FOLDER} || exit 1
"""
"""Without the setgid bit: the kubelet sets it on a volume with fsGroup, and folders inherit it."""

COPY_SCRIPT = f"""\
{_MAKE_FOLDER}\
for file in {MOUNTED}/*; do
  [ -f "$file" ] || continue
  cat "$file" >"{GAM_FOLDER}/${{file##*/}}" || exit 1
done
: >{COPIED}
"""
"""The beginning of the pod's main process. It uses cat, as cp would keep the mode of the mounted files."""

_REFRESH_SCRIPT = f"""\
{_MAKE_FOLDER}\
new={GAM_FOLDER}/.new-$$
trap 'rm -rf "$new"' EXIT
rm -rf "$new"
mkdir "$new" && tar -xf - -C "$new" || exit 1
for file in "$new"/*; do
  [ ! -f "$file" ] || mv -f "$file" {GAM_FOLDER}/ || exit 1
done
cd {GAM_FOLDER} && rm -f -- "$@"
"""
"""Takes the files from standard input, where no process list shows them.

It moves each file into place, so that GAM sees the old file or the new one, never half of it.
"""

_REFRESH_SECONDS = 30.0
_MAX_SAID_BYTES = 64 * 1024
"""Most that the script may say: it says nothing itself, but its programs may complain."""


class KubernetesCredentials:
    """Copies credentials into pods by a command, as the kubelet updates a changed Secret a minute late.

    Args:
        pods: Runs the command.
    """

    def __init__(self, pods: PodRuntime) -> None:
        self._pods = pods

    async def copy(self, session: Session, credentials: Credentials, removed: Sequence[str]) -> None:
        """See ``CredentialRuntime``. The command's output is not used: it could repeat the credentials."""
        argv = [SHELL, "-c", _REFRESH_SCRIPT, "refresh", *removed]
        command = Command(
            argv=argv, timeout_seconds=_REFRESH_SECONDS, stdin=_archive(credentials), internal=True
        )
        said = self._pods.execute(session, command)
        _, end = await short_answer(said, Held(), stdout=_MAX_SAID_BYTES, stderr=_MAX_SAID_BYTES)
        _check(end, session)


def _check(end: Exit, session: Session) -> None:
    if end.result is ExecResult.POD_LOST:
        raise NotFound("the session's pod does not run", reason=Reason.POD_NOT_RUNNING, session=session.id)
    if end.result is ExecResult.UNKNOWN:
        raise ClusterUnavailable("it is not known whether the credentials were copied: try again")
    if end.result is not ExecResult.EXITED or end.exit_code != 0:
        raise UnprocessableRequest(
            "the session's pod could not write the credentials: its disk may be full, or tar is missing",
            reason=Reason.CREDENTIALS_NOT_COPIED,
            session=session.id,
        )


async def _archive(credentials: Credentials) -> AsyncIterator[bytes]:
    """The files as a tar archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in credentials.files.values():
            entry = tarfile.TarInfo(file.name)
            entry.size, entry.mode = len(file.data), 0o600
            entry.mtime = round(file.updated_at.timestamp()) if file.updated_at else 0
            archive.addfile(entry, io.BytesIO(file.data))
    yield content.getvalue()
