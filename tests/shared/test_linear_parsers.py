"""Work on input that callers and pods size is linear: each parser of ours, see ``tests.support.growth``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.datastructures import Headers, QueryParams

from shared import images
from shared.core import ids
from shared.core.audit.evidence import Evidence
from shared.core.audit.masking import masked, masked_words
from shared.core.commands import Command
from shared.core.credentials.google_urls import foreign_address
from shared.core.credentials.model import checked_file
from shared.core.files.listing import first_entries
from shared.core.files.paths import WorkspacePath
from shared.core.files.tar_header import BLOCK_BYTES, read_header
from shared.core.files.tar_reader import TarReader
from shared.core.jobs.model import JobCursor, Place
from shared.core.person import Person
from shared.core.sessions import names, variables
from shared.errors import ConnectionFailed, GamguiError
from shared.identity import claims, forwarded
from shared.identity.keys import KeySet
from shared.identity.tokens import TokenRules, verified_claims
from shared.kube.api.errors import public_message
from shared.kube.connect.access import pem
from shared.kube.connect.kubeconfig.fields import Origin
from shared.kube.connect.kubeconfig.model import parse
from shared.kube.exec import channels, supervisor
from shared.kube.exec.transcript import Transcript
from shared.kube.jobs.log import JobLog, read_status
from shared.kube.pods import diagnosis
from shared.quantities import quantity
from shared.settings import Settings
from shared.web.api import commands, exec_request, jobs, sessions
from shared.web.http import events, paging, preconditions, ranges, schemas
from shared.web.http.encoding import TextSplitter
from tests.shared.store.samples import NOON
from tests.shared.test_linear import HEADERS, JSON, SETTING
from tests.support.growth import repeated, require_linear

FILE = 64 * 1024
"""A credential file; a status of a command; an extension of a tar."""

FRAME = 256 * 1024
"""What a pod says, in one message or in many."""

YAML = 32 * 1024
"""A kubeconfig may have 1 MiB, which PyYAML takes a minute for; a thread reads it. This tells as well."""

LETTERS = ("a", " ", ",", '"', "\\", "é")
LISTS = ("a,", "a;q=1,", ' "a",', "W/", ":", "=:", "a=:YQ==:,", "\t,")
LINES = ("a\n", "\n", "1 2 3\n", "o 0 1 1.0\na", "/\n", "81a4 1 1 a/\n", "x ")
SHELL = (
    "$(",
    '"$(\n',
    "a;",
    "<<a\n",
    "<<a|",
    "echo a|sudo -S ",
    "sh -c '",
    "`",
    "curl -u a:b ",
    "a=b, ",
    "eyJ-",
    "'\n",
    "a|",
    "pass ",
    "&a=",
)
OBJECTS = ('{"a":', "[", '"a",', '{"token_uri":["', '\\"', '{"a":1},', '"\\u0061')
PATHS = ("a/", "%41", "%2", "/", "../", ".", "a.", "a-", "a_", "a:", "a@", "a.b/", "__")


async def pieces(data: bytes, size: int = 4096) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


class NoKeys(KeySet):
    """An issuer without keys."""

    def __init__(self) -> None:
        super().__init__("https://keys.example.com", algorithm="RS256")

    async def key(self, key_id: str) -> None:
        return None


RULES = TokenRules(algorithm="RS256", issuers=("x",), audience="y")
TOKENS = ("a", "a.", "-", "eyJhbGciOiJSUzI1NiJ9.", "W1tb")
SETTINGS = {"AUTH_MODE": "dev", "DEV_CLIENTS": ""}


def crumbs(feed: Callable[[bytes], Any], text: str, size: int = 64) -> None:
    data = text.encode()
    for at in range(0, len(data), size):
        list(feed(data[at : at + size]) or ())


def tar(text: str) -> None:
    reader = TarReader(4000)
    list(reader.feed(text.encode()))
    reader.end()


def block(text: str) -> bytes:
    """A header that holds the text in each field, with the right checksum."""
    raw = bytearray((text.encode() * BLOCK_BYTES)[:BLOCK_BYTES])
    raw[257:265] = b"ustar\x0000"
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def as_body(text: str) -> bytes:
    """A job whose command is the text: what JSON adds to it counts."""
    return json.dumps({"command": text, "env": {"A": text[:30_000]}}).encode()


PARSERS: dict[str, tuple[int, tuple[str, ...], Callable[[str], object]]] = {
    "a line is masked": (JSON, SHELL, masked),
    "words are masked": (JSON, SHELL, lambda text: masked_words([text, *text.split(" ")[:4096]])),
    "a job's body": (JSON, LETTERS, lambda text: schemas.decode(as_body(text), commands.JobBody).argv()),
    "JSON that is no body": (JSON, OBJECTS, lambda text: schemas.decode(text.encode(), commands.ExecBody)),
    "a session's body": (
        JSON,
        OBJECTS,
        lambda text: schemas.decode(text.encode(), schemas.CreateSessionBody),
    ),
    "a session's image": (
        JSON,
        PATHS,
        lambda text: schemas.decode(json.dumps({"image": text}).encode(), schemas.CreateSessionBody),
    ),
    "a session's labels": (
        JSON,
        PATHS,
        lambda text: schemas.decode(json.dumps({"labels": {text: text}}).encode(), schemas.ChangeSessionBody),
    ),
    "a query": (
        HEADERS,
        ("command=a&", "env=A%3D&", "&", "%41", "a=%", "+"),
        lambda text: exec_request.query_options(text.encode()),
    ),
    "Accept": (HEADERS, LISTS, events.negotiate),
    "Range": (HEADERS, (*LISTS, "0-", "bytes=0-1,"), lambda text: ranges.byte_range("bytes=" + text, 10)),
    "Content-Range": (
        HEADERS,
        ("0", "0-", " ", "bytes "),
        lambda text: ranges.content_range("bytes " + text),
    ),
    "Content-Digest": (HEADERS, LISTS, lambda text: ranges.sha256_of(text, "Content-Digest")),
    "If-None-Match": (HEADERS, LISTS, lambda text: ranges.names_tag(text, '"x"')),
    "If-Match": (HEADERS, LISTS, lambda text: preconditions.if_match(Headers({"if-match": text}))),
    "a job's cursor": (HEADERS, ("0-", "0", "-"), jobs.read_cursor),
    "a page of sessions": (
        HEADERS,
        ("a", "W1tb", "=", "-_"),
        lambda text: paging.page_of({"page_token": text}, ids.is_session_id),
    ),
    "a page of records": (
        HEADERS,
        ("a", "W1tb"),
        lambda text: paging.page_of({"page_token": text}, ids.is_record_id),
    ),
    "parameters": (HEADERS, ("page_size=1&", "a&", "a=b&"), lambda text: jobs.jobs_query(QueryParams(text))),
    "parameters of a listing": (
        HEADERS,
        ("owner=a@", "a&", "@"),
        lambda text: sessions.listing_of(QueryParams("owner=" + text), Person(subject="x", email="x")),
    ),
    "a quantity": (JSON, ("1", ".", "1."), quantity),
    "labels": (JSON, PATHS, lambda text: names.label_fault({text: text})),
    "variables": (JSON, ("a", "_", "=", "\0"), lambda text: names.env_fault({text: text})),
    "room for variables": (
        JSON,
        LETTERS,
        lambda text: variables.require_room([text], text, {text[:9]: text}),
    ),
    "an image": (HEADERS, PATHS, images.is_reference),
    "an entry of images": (SETTING, PATHS, lambda text: images.entry_fault(text + "/*")),
    "DEV_CLIENTS": (
        SETTING,
        ("http://127.0.0.1:", ",", "http://localhost,"),
        lambda text: Settings.from_env({**SETTINGS, "DEV_CLIENTS": text.replace("\0", "")}),
    ),
    "a path": (HEADERS, PATHS, lambda text: WorkspacePath.from_url(text.encode())),
    "an e-mail address": (HEADERS, ("a", "@", "a@", "."), claims.email_address),
    "a token": (HEADERS, TOKENS, lambda text: asyncio.run(verified_claims(text, RULES, NoKeys()))),
    "a token of the longest size": (
        8192,
        TOKENS,
        lambda text: asyncio.run(verified_claims(text, RULES, NoKeys())),
    ),
    "Host and Origin": (
        HEADERS,
        ("localhost:", "[", "[::1]", "]", ":"),
        lambda text: forwarded.foreign_page([("Host", text), ("Origin", text)], [text]),
    ),
    "headers' names": (HEADERS, ("a ", "x- ", "_ "), lambda text: forwarded.proxy_header(text.split(" "))),
    "client_secrets.json": (
        FILE,
        OBJECTS,
        lambda text: checked_file("client_secrets.json", text.encode(), NOON),
    ),
    "addresses of a credential file": (
        FILE,
        ("a.", "a-", "storage", "storage.", "_url", "/", "ur"),
        lambda text: foreign_address({text: text, "token_uri": f"https://{text}.googleapis.com/{text}"}),
    ),
    "a tar": (JSON, ("a", "\0", "0", " "), tar),
    "a tar of headers": (
        JSON,
        ("a", "0"),
        lambda text: tar(block("0").decode("latin-1") * (len(text) // BLOCK_BYTES)),
    ),
    "a tar's header": (BLOCK_BYTES, ("0", " ", "\0"), lambda text: read_header(block(text[:-1] or " "))),
    "a folder's entries": (
        FRAME,
        LINES,
        lambda text: asyncio.run(first_entries(pieces(text.encode()), limit=10, after=b"")),
    ),
    "a job's log": (
        FRAME,
        LINES,
        lambda text: list(JobLog(JobCursor(Place(0, 0), 0, 0)).feed(text.encode())),
    ),
    "a job's log in crumbs": (
        FRAME,
        LINES,
        lambda text: crumbs(JobLog(JobCursor(Place(0, 0), 0, 0)).feed, text),
    ),
    "a record of a job's log in crumbs": (
        60_000,
        ("a",),
        lambda text: crumbs(JobLog(JobCursor(Place(0, 0), 0, 0)).feed, f"t 1 1.0\no 0 60000 1.0\n{text}", 8),
    ),
    "a job's status": (FRAME, ("a ", "0 ", "0", "."), lambda text: read_status("j running " + text)),
    "the supervisor's first line": (
        FRAME,
        ("a ", "1", " "),
        lambda text: supervisor.read_announcement("t", text.encode()),
    ),
    "what an exec says in crumbs": (
        FRAME,
        ("a", "t .", "\n"),
        lambda text: crumbs(lambda data: Transcript("t").feed(channels.STDERR, data), text),
    ),
    "what one exec says in crumbs": (
        FRAME,
        ("t .", "\n", "a"),
        lambda text: crumbs(_begun().feed_stderr, text),
    ),
    "text in crumbs": (
        FRAME,
        ("a", "é", "\U0001f600"),
        lambda text: crumbs(lambda data: [TextSplitter().feed(data)], text, 61),
    ),
    "a command's status": (FILE, OBJECTS, lambda text: channels.read_status(text.encode())),
    "why nothing was started": (
        FILE,
        (
            "exec failed: ",
            "unable to start container process: ",
            "OCI runtime exec failed: ",
            "1.1.1.1:",
            "http://",
        ),
        channels.start_failure,
    ),
    "a message of Kubernetes": (JSON, ("1.", "1.1.1.1:1", "[::", "https://", " "), public_message),
    "a pod's status": (
        JSON,
        ("not ", "invalid ", "no match for "),
        lambda text: diagnosis.diagnose(
            {
                "status": {
                    "containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": text}}}]
                }
            }
        ),
    ),
    "a kubeconfig": (
        YAML,
        (
            "a: ",
            "[",
            "- ",
            "{a: ",
            "&a ",
            "a: b\n",
            "- a\n",
            "'",
            "!",
            "?",
            "# a\n",
            "1",
            "0x0",
            "[\t",
            "a\t",
        ),
        lambda text: parse(text.encode(), Origin("f", None)),
    ),
    "a bundle of certificates": (
        YAML,
        ("-----BEGIN X-----\n", "-----BEGIN X-----\nAAAA\n-----END X-----\n", "a: b\n", "A\n", "\n"),
        lambda text: list(pem.blocks(b"-----BEGIN X-----\n" + text.encode())),
    ),
    "a command's line": (
        96 * 1024,
        ("\\", '"', "$", "`", "\n", "\n1"),
        lambda text: supervisor.command_line(Command(argv=[text[:-1]], timeout_seconds=1)),
    ),
    "evidence of a command": (
        96 * 1024,
        ("a", "'", "é"),
        lambda text: Evidence(b"k").of_command([text, "'" * 100], {text[:9]: ""}),
    ),
}
"""How much of it there may be, of what it is made to be slow, and what reads it."""


class _Begun(Transcript):
    """Of a command that runs."""

    def feed_stderr(self, data: bytes) -> list[Any]:
        return list(self.feed(channels.STDERR, data))


def _begun() -> _Begun:
    transcript = _Begun("t")
    transcript.feed(channels.STDERR, b"t 1 2\n")
    return transcript


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_is_linear(name: str) -> None:
    bound, parts, work = PARSERS[name]
    for part in parts:
        require_linear(work, repeated(part), bound, f"{name}, {part!r}")


def _bomb(levels: int, line: str) -> bytes:
    lines = ["a0: &a0 {k: v}"]
    lines += [line.format(up=level, down=level - 1) for level in range(1, levels)]
    return "\n".join([*lines, "clusters: []"]).encode()


@pytest.mark.parametrize(
    "line",
    [
        "a{up}: &a{up} [*a{down}, *a{down}]",
        "a{up}: &a{up} {{<<: [*a{down}, *a{down}]}}",
        "a{up}: &a{up} [*a{up}]",
    ],
)
def test_a_kubeconfig_whose_aliases_stand_for_more_than_it_is_long_is_refused(line: str) -> None:
    with pytest.raises(ConnectionFailed, match="alias"):
        parse(_bomb(60, line), Origin("f", None))


def test_a_kubeconfig_may_have_some_aliases() -> None:
    few = (
        b"x: &x {server: 'https://h'}\nclusters:\n- {name: a, cluster: *x}\n- {name: b, cluster: {<<: *x}}\n"
    )
    found = parse(few, Origin("f", None))
    assert [cluster.server for cluster in found.clusters.values()] == ["https://h", "https://h"]


@pytest.mark.parametrize("part", ["[", "{a: ", "- ", "{'a':"])
def test_a_kubeconfig_that_is_too_deep_is_refused(part: str) -> None:
    with pytest.raises(GamguiError):
        parse((part * 3_000).encode(), Origin("f", None))
