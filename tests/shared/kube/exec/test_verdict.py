"""One result for each command, whatever is known of its end."""

from __future__ import annotations

import itertools

import pytest

from shared.core.commands import ExecResult, Exit
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.kube.exec.supervisor import Announcement
from shared.kube.exec.verdict import broken_off, may_be_lost, verdict
from shared.reasons import Reason

R = ExecResult
RUNS = Announcement(10, 11, None)
REFUSED = Announcement(None, None, "no such file")
LOST = PodStatus(PodPhase.GONE, "Deleted: it is gone", Reason.POD_GONE)
DONE = Exit(result=R.EXITED, exit_code=0)
FAILED = Exit(result=R.EXITED, exit_code=3)
KILLED = Exit(result=R.SIGNALED, exit_code=137, signal="SIGKILL")
ENDED = Exit(result=R.SIGNALED, exit_code=143, signal="SIGTERM")
NOT_STARTED = Exit(result=R.START_FAILED, reason="no shell")
UNREADABLE = Exit(result=R.UNKNOWN, reason="the status message cannot be read")

LIMIT = "the command took longer than 7 s and was ended"
SHUT = "the service instance shut down and told the command to end"
NONE = "the connection to the container ended without a status"
SHELL = "the image's shell could not start the command: "
TABLE = [
    # status, announced, timed_out, interrupted, lost; result, reason
    (DONE, RUNS, False, False, None, R.EXITED, None),
    (FAILED, RUNS, False, False, None, R.EXITED, None),
    (FAILED, RUNS, False, False, LOST, R.EXITED, None),
    (FAILED, RUNS, False, True, None, R.EXITED, SHUT),
    (FAILED, RUNS, True, False, None, R.TIMED_OUT, LIMIT),
    (FAILED, RUNS, True, True, LOST, R.TIMED_OUT, LIMIT),
    (KILLED, RUNS, False, False, None, R.SIGNALED, None),
    (KILLED, RUNS, False, False, LOST, R.POD_LOST, LOST.reason),
    (ENDED, RUNS, False, True, None, R.SIGNALED, SHUT),
    (ENDED, RUNS, False, True, LOST, R.POD_LOST, LOST.reason),
    (ENDED, RUNS, True, False, LOST, R.TIMED_OUT, LIMIT),
    (UNREADABLE, RUNS, False, False, None, R.UNKNOWN, UNREADABLE.reason),
    (None, RUNS, False, False, None, R.UNKNOWN, NONE),
    (None, RUNS, False, True, None, R.UNKNOWN, SHUT),
    (None, RUNS, False, False, LOST, R.POD_LOST, LOST.reason),
    (None, RUNS, True, False, None, R.TIMED_OUT, LIMIT),
    (None, None, False, False, None, R.UNKNOWN, NONE),
    (None, None, True, False, None, R.TIMED_OUT, LIMIT),
    (DONE, None, False, False, None, R.START_FAILED, SHELL + "said"),
    (FAILED, None, False, False, None, R.START_FAILED, SHELL + "said"),
    (NOT_STARTED, None, False, False, None, R.START_FAILED, "no shell"),
    (NOT_STARTED, None, False, True, None, R.START_FAILED, SHUT),
    (DONE, REFUSED, False, False, None, R.START_FAILED, "no such file"),
    (FAILED, REFUSED, False, True, None, R.START_FAILED, "no such file"),
    (KILLED, REFUSED, False, False, LOST, R.POD_LOST, LOST.reason),
]


@pytest.mark.parametrize(("status", "announced", "timed_out", "interrupted", "lost", "result", "why"), TABLE)
def test_the_result_is_told_from_what_is_known(
    status: Exit | None,
    announced: Announcement | None,
    timed_out: bool,
    interrupted: bool,
    lost: PodStatus | None,
    result: ExecResult,
    why: str | None,
) -> None:
    end = verdict(status, announced, 7 if timed_out else None, interrupted, lost, said=b"said\n")
    assert (end.result, end.reason) == (result, why)
    if result in (R.POD_LOST, R.START_FAILED) or status is None:
        assert (end.exit_code, end.signal) == (None, None)
    else:
        assert (end.exit_code, end.signal) == (status.exit_code, status.signal)


STATUSES = (None, DONE, FAILED, KILLED, ENDED, NOT_STARTED, UNREADABLE)


def test_success_is_told_only_of_a_command_that_ran_and_whose_status_says_so() -> None:
    for status, announced, timed_out, interrupted, lost in itertools.product(
        STATUSES, (RUNS, REFUSED, None), (7.0, None), (False, True), (LOST, None)
    ):
        end = verdict(status, announced, timed_out, interrupted, lost)
        if (end.result, end.exit_code) == (R.EXITED, 0):
            assert (status, announced, timed_out) == (DONE, RUNS, None)
        else:
            assert end.reason or end.result in (R.EXITED, R.SIGNALED)


def test_only_what_a_lost_pod_explains_is_asked_of_it() -> None:
    assert [may_be_lost(status) for status in STATUSES] == [True, False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("announced", "timed_out", "result", "why"),
    [
        (RUNS, False, R.UNKNOWN, "flood"),
        (RUNS, True, R.TIMED_OUT, LIMIT),
        (REFUSED, False, R.START_FAILED, "no such file"),
        (REFUSED, True, R.START_FAILED, "no such file"),
        (None, False, R.START_FAILED, SHELL + "flood"),
        (None, True, R.START_FAILED, SHELL + "flood"),
    ],
)
def test_what_is_broken_off_is_unknown_once_it_runs_and_not_started_before(
    announced: Announcement | None, timed_out: bool, result: ExecResult, why: str
) -> None:
    end = broken_off("flood", announced, 7 if timed_out else None)
    assert (end.result, end.reason, end.exit_code) == (result, why, None)
