"""Answers that the cluster was told to give in place of its own, so that tests can meet what is rare.

The administrator tells it: ``PUT /local/refusals`` with ``{"refusals": [rule, ...]}`` replaces the rules
that are there, and ``GET`` shows how many answers each has left. A rule has

- ``method`` and ``path``: which requests; ``*`` in the path stands for one segment;
- ``answers``: what they get, one after the other. When all are given, requests are served as ever.

An answer has

- ``status``: HTTP status; 0 closes the connection without an answer;
- ``reason`` and ``message``: of the ``Status`` that is its body, or ``text``: a plain body, as the kubelet's;
- ``headers``: such as ``Retry-After``;
- ``times``: how many requests get it, by default 1;
- ``done``: true: the request is carried out first, so that only its answer is lost. Not for streams.
"""

from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from aiohttp import web

from ..objects.errors import ApiError, bad_request
from .responses import error_response, object_response

PATH = "local/refusals"
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; the fields are described above."""

    status: int
    reason: str = ""
    message: str = ""
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    done: bool = False

    def response(self, request: web.Request) -> web.Response:
        """Return the response; with status 0, the connection is closed."""
        if not self.status:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if self.text is None:
            response = error_response(ApiError(self.status, self.reason, self.message))
        else:
            response = web.Response(status=self.status, text=self.text)
        response.headers.update(self.headers)
        return response


@dataclass(frozen=True, slots=True)
class _Rule:
    method: str
    path: str
    answers: deque[Answer]

    def matches(self, method: str, path: str) -> bool:
        asked, told = path.split("/"), self.path.split("/")
        alike = len(asked) == len(told) and all(map(fnmatchcase, asked, told))
        return bool(self.answers) and method == self.method and alike


class Refusals:
    """The rules that are left."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []

    def tell(self, body: Any) -> web.Response:
        """Replace the rules.

        Raises:
            ApiError: 400 when ``body`` holds no list of rules.
        """
        try:
            self._rules = [
                _Rule(str(rule["method"]), str(rule["path"]), _answers(rule["answers"]))
                for rule in body["refusals"]
            ]
        except (TypeError, KeyError, ValueError) as error:
            raise bad_request(f"no list of refusals: {error}") from error
        return self.left()

    def left(self) -> web.Response:
        """Return how many answers each rule has left."""
        left = [
            {"method": rule.method, "path": rule.path, "answers": len(rule.answers)} for rule in self._rules
        ]
        return object_response({"refusals": left})

    def next(self, method: str, path: str) -> Answer | None:
        """Take the answer for a request; None: nothing was told of it."""
        rule = next((rule for rule in self._rules if rule.matches(method, path)), None)
        return rule.answers.popleft() if rule is not None else None


def _answers(told: Any) -> deque[Answer]:
    answers: deque[Answer] = deque()
    for item in told:
        answer = Answer(**item)
        if answer.status and not 200 <= answer.status <= 599:
            raise ValueError(f"{answer.status} is no status")
        if len(answers) + answer.times > _MOST:
            raise ValueError(f"more than {_MOST} answers")
        answers.extend([answer] * answer.times)
    return answers
