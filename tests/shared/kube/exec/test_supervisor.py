"""The supervisor by itself, under every POSIX shell that this machine has."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.commands import Command
from shared.core.sessions.variables import MAX_COMMAND_BYTES, MAX_SESSION_BYTES
from shared.errors import InvalidRequest
from shared.kube.exec import supervisor
from shared.kube.exec.end_mark import EndMark
from shared.reasons import Reason
from tests.support.patience import PATIENCE
from tests.support.shells import SHELLS

TAG = "gamgui-0123456789abcdef"
LIMIT_MARGIN = 10


async def nothing() -> AsyncIterator[bytes]:
    yield b""


def command(*argv: str, limit: float = PATIENCE, stdin: bool = False, **options: Any) -> Command:
    """A command whose supervisor ends it after ``limit`` seconds."""
    return Command(
        argv=argv,
        timeout_seconds=limit - LIMIT_MARGIN,
        stdin=nothing() if stdin else None,
        workdir=str(options.pop("workdir", "/tmp")),
        **options,
    )


class Run:
    """A supervisor as a process, with its end of the three streams."""

    def __init__(
        self, shell: list[str], given_command: Command, environment: dict[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [*shell, *supervisor.supervisor_argv(TAG)[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self.stdin = self.process.stdin
        assert self.stdin is not None
        self.stdin.write(supervisor.command_line(given_command))
        self.stdin.flush()

    def result(self, stdin: bytes = b"", *, close: bool = False) -> tuple[int, bytes, bytes]:
        """Exit code, stdout, and stderr without the supervisor's own lines; these are checked."""
        assert self.process.stdout is not None and self.process.stderr is not None and self.stdin is not None
        feeding = threading.Thread(target=self._feed, args=(stdin,)) if stdin or close else None
        if feeding is not None:
            feeding.start()
        out = self.process.stdout.read()
        err = self.process.stderr.read()
        code = self.process.wait(PATIENCE)
        first, _, err = self._without_mark(err, code).partition(b"\n")
        self.announced = supervisor.read_announcement(TAG, first)
        if feeding is not None:
            feeding.join()
        self.process.stdout.close()
        self.process.stderr.close()
        if not self.stdin.closed:
            self.stdin.close()
        return code, self._without_mark(out, code), err

    def _without_mark(self, data: bytes, code: int) -> bytes:
        mark = EndMark(TAG)
        rest = mark.without(data) + mark.rest()
        assert mark.code == code
        return rest

    def _feed(self, data: bytes) -> None:
        assert self.stdin is not None
        self.stdin.write(data)
        self.stdin.close()


@pytest.fixture(params=SHELLS)
def start(request: pytest.FixtureRequest) -> Callable[[Command], Run]:
    return lambda given_command: Run(request.param, given_command)


Start = Callable[[Command], Run]


def alive(mark: str) -> list[str]:
    """Processes, zombies apart, whose arguments hold the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "cmdline").read_bytes():
                found.append(folder.name)
        except OSError:
            continue
    return found


def wait_until_ended(mark: str, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while alive(mark):
        assert time.monotonic() < end, alive(mark)
        time.sleep(0.02)


def test_output_and_exit_code_are_the_commands(start: Start) -> None:
    run = start(command("sh", "-c", "echo out; echo err >&2; exit 7"))
    assert run.result() == (7, b"out\n", b"err\n")
    assert run.announced is not None and run.announced.pid and run.announced.supervisor_pid


def test_a_signal_becomes_128_and_its_number_and_nothing_is_said_of_it(start: Start) -> None:
    assert start(command("sh", "-c", "kill -9 $$")).result() == (137, b"", b"")


@pytest.mark.parametrize(
    ("argv", "workdir", "failure"),
    [
        (["no-such"], "/tmp", "no-such: executable file not found in $PATH"),
        (["/no/such"], "/tmp", "/no/such: not found"),
        (["/etc"], "/tmp", "/etc: is a directory"),
        (["true"], "/no/such", "workdir: no such directory"),
    ],
)
def test_what_cannot_start_says_why(start: Start, argv: list[str], workdir: str, failure: str) -> None:
    run = start(command(*argv, workdir=workdir))
    assert run.result()[1:] == (b"", b"")
    assert run.announced == supervisor.Announcement(None, None, failure)


def test_a_file_that_is_not_executable_is_told_as_such(start: Start, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("true")
    run = start(command("./script", workdir=str(tmp_path)))
    run.result()
    assert run.announced == supervisor.Announcement(None, None, "./script: permission denied")


def test_without_input_of_the_callers_the_command_reads_nothing(start: Start) -> None:
    assert start(command("cat")).result() == (0, b"", b"")


def test_the_callers_input_is_the_commands(start: Start) -> None:
    data = bytes(range(256)) * 1000
    assert start(command("cat", stdin=True)).result(data) == (0, data, b"")


def test_input_that_the_command_leaves_is_read_to_its_end(start: Start) -> None:
    assert start(command("true", stdin=True)).result(b"x" * 1_000_000) == (0, b"", b"")


def test_the_end_of_the_lifeline_ends_the_command(start: Start) -> None:
    run = start(command("sleep", "31000001"))
    began = time.monotonic()
    assert run.result(close=True)[0] == 143
    assert time.monotonic() - began < PATIENCE
    wait_until_ended("31000001")


def test_the_limit_ends_the_whole_group(start: Start) -> None:
    run = start(command("sh", "-c", "sleep 31000002 & sleep 31000002", limit=1))
    assert run.result()[0] == 143
    wait_until_ended("31000002")


def test_who_ignores_term_is_killed_after_five_seconds(start: Start) -> None:
    began = time.monotonic()  # before the limit begins: a slow machine may take long to come here again
    run = start(command("sh", "-c", "trap '' TERM; while :; do sleep 1; done; : 31000003", limit=1))
    assert run.result()[0] == 137
    assert time.monotonic() - began >= 5
    wait_until_ended("31000003")


def test_what_the_command_leaves_in_its_group_ends_with_it(start: Start) -> None:
    began = time.monotonic()
    assert start(command("sh", "-c", "sleep 31000004 & exit 4")).result()[0] == 4
    assert time.monotonic() - began < PATIENCE
    wait_until_ended("31000004")


def until_mark(stream: IO[bytes], code: int) -> bytes:
    """What comes on the stream until the supervisor says that the command ended with this code."""
    mark, heard = EndMark(TAG), b""
    while mark.code is None:
        data = os.read(stream.fileno(), 65536)
        assert data, heard
        heard += mark.without(data)
    assert mark.code == code
    return heard


# What a process does that leaves the command's group, and which of the command's streams it keeps.
LEFT_BEHIND = [
    ("sleep MARK", ""),
    ("sleep MARK", "2>/dev/null"),
    ("sleep MARK", ">/dev/null"),
    ("while :; do echo late; sleep 0.01; done; : MARK", ""),
    ("trap '' PIPE; yes 2>&1; : MARK", ""),
    ("sleep MARK & sleep MARK", "<&-"),
]


@pytest.mark.parametrize(("does", "keeps"), LEFT_BEHIND)
@pytest.mark.parametrize("stdin", [False, True], ids=["", "input"])
def test_the_end_is_said_on_both_streams_while_what_was_left_behind_holds_them(
    start: Start, does: str, keeps: str, stdin: bool, tmp_path: Path
) -> None:
    number = str(31_000_000 + int.from_bytes(os.urandom(2), "big"))
    script = (
        f'setsid sh -c ": >ready; {does.replace("MARK", number)}" {keeps} & until [ -e ready ]; do :; done;'
    )
    script += " echo out; echo err >&2; exit 7"
    run = start(command("sh", "-c", script, stdin=stdin, workdir=tmp_path))
    assert run.process.stdout is not None and run.process.stderr is not None and run.stdin is not None
    try:
        with ThreadPoolExecutor() as pool:
            heard = pool.map(until_mark, (run.process.stdout, run.process.stderr), (7, 7))
        assert [said in stream for said, stream in zip((b"out\n", b"err\n"), heard, strict=True)] == [
            True
        ] * 2
        if stdin:
            run.stdin.close()
        assert run.process.wait(PATIENCE) == 7
        assert alive(number)
    finally:
        for pid in alive(number):
            os.kill(int(pid), signal.SIGKILL)
        for opened in (run.stdin, run.process.stdout, run.process.stderr):
            opened.close()


def test_a_supervisor_whose_last_words_nobody_reads_ends_with_its_caller(start: Start) -> None:
    run = start(command("sh", "-c", "head -c 1000000 /dev/zero & sleep 1; kill -9 0"))
    assert run.stdin is not None and run.process.stdout is not None and run.process.stderr is not None
    until_mark(run.process.stderr, 137)
    assert run.process.poll() is None
    run.stdin.close()
    assert run.process.wait(PATIENCE) == -signal.SIGKILL
    wait_until_ended(TAG)
    for stream in (run.process.stdout, run.process.stderr):
        stream.close()


def test_nothing_of_the_supervisor_stays(start: Start) -> None:
    for number in range(20):
        assert start(command("sh", "-c", f"exit {number}")).result()[0] == number
    wait_until_ended(TAG)


def test_the_stop_script_ends_the_command(start: Start) -> None:
    run = start(command("sh", "-c", "echo ready; sleep 31000005"))
    assert run.process.stdout is not None and run.process.stderr is not None
    announced = supervisor.read_announcement(TAG, run.process.stderr.readline().rstrip(b"\n"))
    assert announced is not None
    assert run.process.stdout.readline() == b"ready\n"
    subprocess.run(
        supervisor.stop_argv(TAG, announced), check=True, timeout=PATIENCE, stderr=subprocess.DEVNULL
    )
    assert run.process.wait(PATIENCE) == 143
    wait_until_ended("31000005")
    for stream in (run.stdin, run.process.stdout, run.process.stderr):
        assert stream is not None
        stream.close()


def test_the_stop_script_leaves_others_alone() -> None:
    bystander = subprocess.Popen(["sleep", "31000006"], start_new_session=True)
    try:
        announced = supervisor.Announcement(bystander.pid, bystander.pid, None)
        subprocess.run(supervisor.stop_argv(TAG, announced), check=False, timeout=PATIENCE)
        assert bystander.poll() is None
    finally:
        os.killpg(bystander.pid, signal.SIGKILL)
        bystander.wait()


_words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@settings(max_examples=60, deadline=None)
@given(arguments=st.lists(_words, max_size=5), value=_words)
def test_any_text_arrives_exactly(arguments: list[str], value: str) -> None:
    script = 'printf "%s\\0" "$V" "$@"'
    run = Run(["sh"], command("sh", "-c", script, "sh", *arguments, env={"V": value}))
    code, out, err = run.result()
    assert (code, out, err) == (0, b"".join(text.encode() + b"\0" for text in [value, *arguments]), b"")


SPECIAL = "HOME PATH IFS PPID UID EUID PWD LC_ALL LANG OPTIND RANDOM GROUPS ENV BASH_ENV PS4 CDPATH"


@pytest.mark.parametrize(
    "value", ["x", "", "/nowhere", "$$ $(HOME) $HOME `id`", "a\n1\n'\"\\ö😀", "de_XX.UTF-8"]
)
def test_a_variable_that_means_something_to_a_shell_is_one_as_any_other(
    start: Start, tmp_path: Path, value: str
) -> None:
    names = [*SPECIAL.split(), "gamgui_pid", "_0", "__A__"]
    run = start(command("/usr/bin/env", "-0", env=dict.fromkeys(names, value)))
    code, out, err = run.result()
    assert (code, err) == (0, b"")
    assert run.announced is not None and run.announced.supervisor_pid == run.process.pid
    given = dict(line.split("=", 1) for line in out.decode().split("\0") if "=" in line)
    assert {name: given[name] for name in names} == dict.fromkeys(names, value)


def test_the_program_is_looked_for_in_the_callers_path(start: Start, tmp_path: Path) -> None:
    for name in ("mine", "a=b", "setsid", "sleep", "cat", "env"):
        (tmp_path / name).write_text("#!/bin/sh\necho mine $V\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "V": "it's"}
    for name in ("mine", "a=b"):
        assert start(command(name, env=env)).result() == (0, b"mine it's\n", b""), name
    run = start(command("mine", env={"PATH": "/usr/bin"}))
    run.result()
    assert run.announced is not None and "not found" in str(run.announced.failure)


@pytest.mark.parametrize("character", ["x", "'", '"', "$", "\\", "\n", "\n1", "`", "ö", "!"])
def test_the_largest_of_a_session_and_the_largest_command_fit_together(start: Start, character: str) -> None:
    def text(size: int) -> str:
        return (character * size).encode()[:size].decode(errors="ignore")

    value, argument = text(MAX_SESSION_BYTES // 3), text(MAX_COMMAND_BYTES - 100)
    env = dict.fromkeys("ABC", value)
    program = 'printf "%s" "$A$B$C$1" | sha256sum'
    code, out, _ = start(command("sh", "-c", program, "sh", argument, env=env)).result()
    assert (code, out.split()[0].decode()) == (0, sha256((value * 3 + argument).encode()).hexdigest())
    assert len(supervisor.command_line(command(argument, env=env))) < 2.6 * 161_000


def test_a_command_that_is_too_long_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidRequest) as caught:
        supervisor.command_line(command("echo", "x" * 100_000))
    assert caught.value.reason == Reason.COMMAND_TOO_LONG


def test_lines_that_are_not_the_supervisors_are_not_taken_for_it() -> None:
    for line in (b"", b"sh: setsid: not found", b"gamgui-ffff 1 2", TAG.encode(), TAG.encode() + b" x y"):
        assert supervisor.read_announcement(TAG, line) is None
    for number in ("9" * 11, "9" * 500, "-1", "٣", "1.5"):
        line = f"{TAG} 7 {number}".encode()
        assert supervisor.read_announcement(TAG, line) is None


def test_a_command_that_ends_at_once_leaves_no_timer_behind(start: Start) -> None:
    # The supervisor ends its timer while that one is starting to sleep.
    limit = 200_000 + int.from_bytes(os.urandom(2), "big")
    for _ in range(10):
        runs = [start(command("true", limit=limit)) for _ in range(30)]
        assert [run.result()[0] for run in runs] == [0] * len(runs)
    wait_until_ended(f"sleep\0{limit}")


PROGRAMS = ("sh", "setsid", "sleep", "kill", "cat", "grep", "printf", "tr")


@pytest.fixture
def traps(tmp_path: Path) -> Path:
    """A folder whose programs have the names of those that our scripts run, and leave a mark."""
    folder = tmp_path / "traps"
    folder.mkdir()
    for name in PROGRAMS:
        program = folder / name
        program.write_text(f"#!/bin/sh\n: >{tmp_path}/sprung-{name}\n")
        program.chmod(0o755)
    return folder


@pytest.mark.parametrize("whose", ["container", "command"])
def test_path_leads_the_command_but_not_the_supervisor(traps: Path, whose: str) -> None:
    own = f"{traps}:/nowhere"
    given = command("/bin/sh", "-c", 'echo "$PATH"; exit 3', env={"PATH": own, "PPID": "1"}, stdin=True)
    if whose == "container":
        given = command("/bin/sh", "-c", 'echo "$PATH"; exit 3', stdin=True)
    run = Run(["/bin/sh"], given, {"PATH": own if whose == "container" else os.environ["PATH"]})
    assert run.result(close=True) == (3, f"{own}\n".encode(), b"")
    assert run.announced is not None
    assert run.announced.supervisor_pid == run.process.pid
    assert not list(traps.parent.glob("sprung-*"))


@pytest.mark.parametrize("env", [{}, {"A": "b"}], ids=["no variables", "variables"])
def test_a_container_without_a_path_has_its_programs_where_its_shell_looks(env: dict[str, str]) -> None:
    # In a folder that shells look in by default, and execvp of the C library does not.
    run = Run(["/bin/sh"], command("ldconfig", "--version", env=env), {})
    code, out, err = run.result()
    assert (code, err) == (0, b"")
    assert out.startswith(b"ldconfig")


def test_a_script_of_ours_finds_the_images_programs_first(traps: Path) -> None:
    given = command("/bin/sh", "-c", "printf x | cat; grep x </dev/null; sleep 0", internal=True)
    run = Run(["/bin/sh"], given, {"PATH": str(traps)})
    assert run.result() == (0, b"x", b"")
    assert not list(traps.parent.glob("sprung-*"))
