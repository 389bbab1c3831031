"""job.sh by itself, under every POSIX shell that this machine has."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.core.commands import Output, Started
from shared.core.ids import new_job_id
from shared.core.jobs.model import Gap, JobCursor, JobEvent, JobReport, JobState, Place
from shared.kube.exec.supervisor import script, variables
from shared.kube.jobs.log import JobLog, read_status
from tests.support import processes
from tests.support.patience import PATIENCE
from tests.support.shells import SHELLS

BOUND = 17 * 64 * 1024
"""Of a job's logs in these tests: sixteen of 64 KiB, and the rest."""
START = JobCursor()


class Jobs:
    """The jobs of one folder, run with one shell."""

    def __init__(self, shell: list[str], root: Path) -> None:
        self._shell = shell
        self.root = root

    def run(self, job: str, action: str, *arguments: object, stdin: bytes = b"") -> str:
        answer = subprocess.run(
            self.argv(job, action, *arguments), input=stdin, capture_output=True, timeout=PATIENCE, check=True
        )
        assert answer.stderr == b""
        return answer.stdout.decode()

    def argv(self, job: str, action: str, *arguments: object) -> list[str]:
        words = [
            job,
            script("job.sh", "shared.kube.jobs"),
            str(self.root),
            action,
            *(str(argument) for argument in arguments),
        ]
        return [*self._shell, "-c", 'eval "$1"', *words]

    def start(
        self,
        *command: str,
        job: str = "",
        limit: int = 0,
        stdin: bytes = b"",
        size: int | None = None,
        bound: int = BOUND,
        most: int = 8,
        **env: str,
    ) -> tuple[str, str]:
        """Starts a job; its id, and the answer."""
        job = job or new_job_id()
        size = len(stdin) if size is None else size
        room, epoch = bound * most, round(time.time() * 1000)
        code = (script("launch.sh"), len(env), "/tmp", "own", *variables(env))
        arguments = (bound, room, most, epoch, size, limit, *code, *command)
        return job, self.run(job, "start", *arguments, stdin=stdin).strip()

    def status(self, job: str) -> JobReport:
        (line,) = self.run("x", "status", job).splitlines()
        found, report = read_status(line)
        assert found == job
        assert report is not None
        return report

    def ended(self, job: str, seconds: float = PATIENCE) -> JobReport:
        end = time.monotonic() + seconds
        while (report := self.status(job)).state is JobState.RUNNING:
            assert time.monotonic() < end, f"{job} still runs"
            time.sleep(0.02)
        return report

    def follow(self, job: str, since: JobCursor = START, mode: str = "on") -> list[JobEvent]:
        place = since.place
        output = subprocess.run(
            self.argv(job, "follow", place.part, place.size, mode),
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        ).stdout
        return [record.event for record in JobLog(since).feed(output)]

    def processes(self, job: str) -> list[str]:
        """Those whose arguments hold the job's id: its supervisor and what that has forked."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if job.encode() in (folder / "cmdline").read_bytes():
                    found.append(folder.name)
            except OSError:
                continue
        return found

    def gone(self, job: str, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while left := self.processes(job):
            assert time.monotonic() < end, left
            time.sleep(0.02)


@pytest.fixture(params=SHELLS)
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobs]:
    found = Jobs(request.param, tmp_path / "a folder" / "jobs")
    yield found
    for folder in found.root.glob("j*"):
        if not (folder / "end").exists():
            found.run(folder.name, "cancel")


@pytest.fixture
def mark() -> str:
    """Seconds of a sleep that nobody else sleeps."""
    return str(40_000_000 + int.from_bytes(os.urandom(3), "big"))


def data(events: list[JobEvent], stream: str) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Output) and event.stream == stream)


def sleeping(mark: str) -> bool:
    """Whether the program sleeps; those that only name it, as supervisors do, may not have come to it."""
    return any(processes.arguments_of(found) == ["sleep", mark] for found in processes.with_arguments(mark))


def napping(jobs: Jobs, job: str, but: int) -> list[str]:
    """Seconds of each sleep that a process of the job's own waits for, ``but`` not counted."""
    own, naps = set(jobs.processes(job)) - {str(but)}, []
    for process in processes.with_arguments("sleep"):
        match processes.arguments_of(process), processes.parent_of(process):
            case ["sleep", seconds], parent if str(parent) in own:
                naps.append(seconds)
    return naps


def wait_until_nobody_sleeps(mark: str) -> None:
    """What is killed is gone a moment later."""
    end = time.monotonic() + PATIENCE
    while sleeping(mark):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_a_job_says_and_how_it_ends_is_kept_in_order(jobs: Jobs) -> None:
    before = time.time()
    line = "echo out; sleep 0.15; echo err >&2; sleep 0.15; printf more; exit 7"
    job, answer = jobs.start("sh", "-c", line)
    assert answer.startswith(f"{job} running ")
    events = jobs.follow(job)
    kinds = [event.stream if isinstance(event, Output) else type(event).__name__ for event in events]
    assert kinds == ["Started", "stdout", "stderr", "stdout", "JobReport"]
    assert (data(events, "stdout"), data(events, "stderr")) == (b"out\nmore", b"err\n")
    report = jobs.ended(job)
    assert events[-1] == report
    assert (report.state, report.exit_code, report.stdout_bytes, report.stderr_bytes) == (
        JobState.EXITED,
        7,
        8,
        4,
    )
    assert report.started_at is not None
    assert report.ended_at is not None
    assert before - 0.1 < report.started_at.timestamp() <= report.ended_at.timestamp() - 0.25
    assert report.ended_at.timestamp() < time.time() + 0.1
    jobs.gone(job)


def test_nothing_of_ours_is_in_the_commands_environment_or_open_in_it(jobs: Jobs) -> None:
    line = 'env; echo; ls -l /proc/self/fd | sed "s/.*[0-9] \\([0-9]* ->\\)/\\1/"; pwd'
    job, _ = jobs.start("sh", "-c", line, QUOTED='it\'s "$HOME"\n`x`')
    said = data(jobs.follow(job), "stdout").decode()
    variables, _, rest = said.partition("\n\n")
    assert 'QUOTED=it\'s "$HOME"\n`x`' in said
    for name in ("script=", "root=", "job=", "launch=", "gamgui"):
        assert not any(line.startswith(name) for line in variables.splitlines()), name
    assert {line.split()[0] for line in rest.splitlines() if "->" in line} <= {"0", "1", "2", "3"}
    assert said.endswith("/tmp\n")


def test_arguments_input_and_output_are_exact(jobs: Jobs) -> None:
    words = ["", " ", "a'b\"c", "$HOME", "`id`", "a\nb\n", "\\", "*", "-n", "ä😀"]
    job, _ = jobs.start("printf", "%s\\0", *words)
    assert data(jobs.follow(job), "stdout").split(b"\0")[:-1] == [word.encode() for word in words]
    binary = bytes(range(256)) * 700
    job, _ = jobs.start("sh", "-c", "cat; cat >&2", stdin=binary)
    assert data(jobs.follow(job), "stdout") == binary
    job, _ = jobs.start("cat")
    assert jobs.ended(job).stdout_bytes == 0


def test_input_that_did_not_come_whole_starts_nothing_and_may_come_again(jobs: Jobs) -> None:
    job, answer = jobs.start("cat", stdin=b"half", size=8)
    assert answer == f"{job} torn"
    assert list(jobs.root.iterdir()) == []
    job, answer = jobs.start("cat", job=job, stdin=b"complete")
    assert data(jobs.follow(job), "stdout") == b"complete"


def test_the_same_job_is_started_once(jobs: Jobs, tmp_path: Path) -> None:
    line = f"echo once >>'{tmp_path}/started'; sleep 0.3"
    job, _ = jobs.start("sh", "-c", line)
    assert jobs.start("sh", "-c", line, job=job)[1].startswith(f"{job} running ")
    jobs.ended(job)
    assert jobs.start("sh", "-c", line, job=job)[1].startswith(f"{job} ended ")
    assert (tmp_path / "started").read_text() == "once\n"


def test_cancel_ends_the_whole_group_and_repeating_it_tells_the_same(jobs: Jobs, mark: str) -> None:
    job, _ = jobs.start("sh", "-c", f"sleep {mark} & sleep {mark}")
    first = jobs.run(job, "cancel")
    assert jobs.run(job, "cancel") == first
    report = jobs.status(job)
    assert (report.state, report.exit_code, report.signal) == (JobState.CANCELLED, 143, "SIGTERM")
    wait_until_nobody_sleeps(mark)
    jobs.gone(job)


def test_who_does_not_listen_is_killed_after_five_seconds(jobs: Jobs, mark: str) -> None:
    job, _ = jobs.start("sh", "-c", f"trap '' TERM; sleep {mark}; sleep {mark}")
    while not sleeping(mark):
        time.sleep(0.02)
    began = time.monotonic()
    with subprocess.Popen(jobs.argv(job, "cancel"), stdout=subprocess.DEVNULL) as cancelling:
        end = began + PATIENCE
        while not (naps := napping(jobs, job, cancelling.pid)):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert cancelling.wait(PATIENCE) == 0
    assert naps == ["5"]  # no clock is asked whether it is more: a slow machine's would say so
    assert time.monotonic() - began > 4.5
    assert jobs.status(job).exit_code == 137
    wait_until_nobody_sleeps(mark)


def test_its_time_limit_ends_it(jobs: Jobs, mark: str) -> None:
    job, _ = jobs.start("sleep", mark, limit=1)
    report = jobs.ended(job)
    assert (report.state, report.exit_code) == (JobState.TIMED_OUT, 143)
    jobs.gone(job)


def test_a_limit_that_is_not_reached_leaves_no_timer(jobs: Jobs, mark: str) -> None:
    for _ in range(5):
        job, _ = jobs.start("true", limit=int(mark))
        assert jobs.ended(job).state is JobState.EXITED
        jobs.gone(job)
    wait_until_nobody_sleeps(mark)


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("no-such-command", 127, "no-such-command: executable file not found in $PATH"),
        ("/no/such", 127, "/no/such: not found"),
        ("/etc/passwd", 126, "/etc/passwd: permission denied"),
        ("/etc", 126, "/etc: is a directory"),
    ],
)
def test_what_cannot_start_says_why(jobs: Jobs, command: str, code: int, told: str) -> None:
    job, _ = jobs.start(command)
    report = jobs.ended(job)
    assert (report.state, report.exit_code, report.reason) == (JobState.EXITED, code, told)
    assert (report.stdout_bytes, report.stderr_bytes) == (0, 0)


def test_what_left_the_group_and_keeps_the_output_open_does_not_hold_up_the_end(
    jobs: Jobs, mark: str
) -> None:
    job, _ = jobs.start("sh", "-c", f"setsid sleep {mark} & sleep 0.3; echo done")
    report = jobs.ended(job)
    assert (report.state, report.exit_code, report.stdout_bytes) == (JobState.EXITED, 0, 5)
    assert data(jobs.follow(job), "stdout") == b"done\n"
    processes.end(f"sleep {mark}")


def test_only_the_newest_output_is_kept_and_what_is_missing_is_known(jobs: Jobs) -> None:
    total = 3 * BOUND
    job, _ = jobs.start("sh", "-c", f"echo early >&2; sleep 0.2; head -c {total} /dev/zero; echo late >&2")
    report = jobs.ended(job)
    assert (report.stdout_bytes, report.stderr_bytes) == (total, 11)
    size = sum(file.stat().st_size for file in (jobs.root / job).glob("log.*"))
    assert BOUND // 2 < size <= BOUND
    events = jobs.follow(job)
    gaps = {event.stream: event for event in events if isinstance(event, Gap)}
    kept = data(events, "stdout")
    assert gaps["stdout"] == Gap("stdout", 0, total - len(kept))
    assert gaps["stderr"] == Gap("stderr", 0, 6)
    assert data(events, "stderr") == b"late\n"
    assert kept == bytes(len(kept))


def test_a_follower_that_is_overtaken_goes_on_behind_the_gap(jobs: Jobs) -> None:
    job, _ = jobs.start("sh", "-c", f"echo first; sleep 0.2; head -c {2 * BOUND} /dev/zero")
    jobs.ended(job)
    events = jobs.follow(job, JobCursor(Place(0, 60), 6, 0))
    gap = next(event for event in events if isinstance(event, Gap))
    assert gap.offset == 6
    assert gap.size is not None
    assert 6 + gap.size + len(data(events, "stdout")) == 6 + 2 * BOUND


def test_a_long_output_is_followed_byte_for_byte_while_it_comes(jobs: Jobs, tmp_path: Path) -> None:
    size = 3_000_000
    source = tmp_path / "random"
    source.write_bytes(os.urandom(size))
    job, _ = jobs.start("sh", "-c", f"cat '{source}'; cat '{source}' >&2", bound=32 * 1024 * 1024)
    events = jobs.follow(job)
    for stream in ("stdout", "stderr"):
        assert hashlib.sha256(data(events, stream)).digest() == hashlib.sha256(source.read_bytes()).digest()
    assert isinstance(events[-1], JobReport)


def test_reading_once_gives_what_is_there(jobs: Jobs, mark: str) -> None:
    job, _ = jobs.start("sh", "-c", f"echo one; exec sleep {mark}")
    end = time.monotonic() + PATIENCE
    while len(events := jobs.follow(job, mode="once")) < 2:
        assert time.monotonic() < end
    assert [type(event) for event in events] == [Started, Output]
    assert list((jobs.root / job).glob("[wf].*")) == []
    jobs.run(job, "cancel")


def test_a_follower_that_was_killed_holds_up_nothing(jobs: Jobs) -> None:
    job, _ = jobs.start("sh", "-c", "sleep 0.5; i=0; while [ $i -lt 200 ]; do echo $i; i=$((i + 1)); done")
    dead = subprocess.Popen(jobs.argv(job, "follow", 0, 0, "on"), stdout=subprocess.PIPE)
    assert dead.stdout is not None
    dead.stdout.readline()
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    dead.stdout.close()
    assert jobs.ended(job, 10).exit_code == 0
    assert data(jobs.follow(job), "stdout").count(b"\n") == 200


def test_a_job_whose_supervisor_was_killed_is_known_to_be_lost(jobs: Jobs, mark: str) -> None:
    job, _ = jobs.start("sleep", mark)
    following = subprocess.Popen(jobs.argv(job, "follow", 0, 0, "on"), stdout=subprocess.PIPE)
    os.kill(int((jobs.root / job / "pid").read_text()), signal.SIGKILL)
    said, _ = following.communicate(timeout=PATIENCE)
    events = [record.event for record in JobLog(JobCursor()).feed(said)]
    assert isinstance(events[-1], JobReport)
    assert events[-1].state is JobState.LOST
    assert jobs.status(job).state is JobState.LOST
    jobs.run(job, "cancel")  # returns, and does not wait for ever
    for left in jobs.processes(job):
        os.kill(int(left), signal.SIGKILL)
    processes.end(f"sleep {mark}")
    (jobs.root / job / "end").touch()


def test_more_than_the_limit_are_refused_and_leave_nothing(jobs: Jobs, mark: str) -> None:
    started = [jobs.start("sleep", mark, most=2)[0] for _ in range(2)]
    refused, answer = jobs.start("sleep", mark, most=2)
    assert answer == f"{refused} many"
    assert not (jobs.root / refused).exists()
    jobs.run(started[0], "cancel")
    assert jobs.start("sleep", mark, most=2)[1].split()[1] == "running"


def test_output_of_the_oldest_finished_jobs_makes_room(jobs: Jobs) -> None:
    finished: list[str] = []
    for _ in range(3):
        job, _ = jobs.start("head", "-c", str(BOUND // 2), "/dev/zero", most=2)
        jobs.ended(job)
        jobs.gone(job)  # nothing touches its folder any more
        os.utime(jobs.root / job, (len(finished), len(finished)))  # the order of their ends
        finished.append(job)
    job, _ = jobs.start("true", most=2)
    jobs.ended(job)
    kept = [bool(list((jobs.root / one).glob("log.*"))) for one in finished]
    assert kept == [False, True, True] or kept == [False, False, True]
    events = jobs.follow(finished[0])
    assert [type(event) for event in events] == [Gap, JobReport]
    assert events[0] == Gap("stdout", 0, BOUND // 2)


def test_unknown_jobs_are_told_as_such(jobs: Jobs) -> None:
    job = new_job_id()
    assert jobs.run("x", "status", job) == f"{job} unknown\n"
    assert jobs.run(job, "cancel") == f"{job} unknown\n"
    assert jobs.run(job, "follow", 0, 0, "on") == "unknown\n"


def test_many_followers_see_the_same(jobs: Jobs) -> None:
    line = "i=0; while [ $i -lt 30 ]; do echo $i; sleep 0.01; i=$((i + 1)); done"
    job, _ = jobs.start("sh", "-c", line)
    readers = [
        subprocess.Popen(jobs.argv(job, "follow", 0, 0, "on"), stdout=subprocess.PIPE) for _ in range(5)
    ]
    said = [reader.communicate(timeout=PATIENCE)[0] for reader in readers]
    found = [data([record.event for record in JobLog(JobCursor()).feed(one)], "stdout") for one in said]
    assert found == ["".join(f"{number}\n" for number in range(30)).encode()] * 5
