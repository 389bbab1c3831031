"""What ran, in records: lengths, digests that the key's holder can compare, names of variables."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.audit.evidence import Evidence
from shared.errors import InvalidRequest
from tests.support.needs import needs

KEY = b"k" * 32


async def pieces(*given: bytes, breaks: bool = False) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece
    if breaks:
        raise InvalidRequest("the connection broke")


@given(st.lists(st.text(st.characters(exclude_characters="\0"), max_size=20), min_size=1, max_size=5))
def test_a_command_is_told_by_what_proc_shows_of_it(argv: list[str]) -> None:
    executed = b"".join(word.encode(errors="backslashreplace") + b"\0" for word in argv)
    detail = Evidence(KEY).of_command(argv, {"B": "secret", "A": "secret"})
    assert detail["command_bytes"] == len(executed)
    assert detail["command_digest"] == hmac.new(KEY, executed, hashlib.sha256).hexdigest()
    assert detail["env"] == "A B"
    assert "secret" not in repr(detail["env"])


async def test_input_is_counted_and_digested_in_any_pieces() -> None:
    whole = b"gam update user bob password x\n" * 100
    for size in (1, 7, 1000, len(whole)):
        evidence = Evidence(KEY)
        cut = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert b"".join([piece async for piece in evidence.metered(pieces(*cut))]) == whole
        assert evidence.of_input() == {
            "stdin_bytes": len(whole),
            "stdin_end": "complete",
            "stdin_digest": hmac.new(KEY, whole, hashlib.sha256).hexdigest(),
        }


async def test_input_that_breaks_off_says_so() -> None:
    evidence = Evidence(KEY)
    with pytest.raises(InvalidRequest):
        _ = [piece async for piece in evidence.metered(pieces(b"abc", breaks=True))]
    assert (evidence.of_input()["stdin_bytes"], evidence.of_input()["stdin_end"]) == (3, "broken")


async def test_input_that_a_command_does_not_take_says_so() -> None:
    evidence = Evidence(KEY)
    taking = evidence.metered(pieces(b"abc", b"def"))
    await anext(taking)
    await taking.aclose()
    assert (evidence.of_input()["stdin_bytes"], evidence.of_input()["stdin_end"]) == (3, "unread")


async def test_input_that_nobody_asks_for_says_so() -> None:
    evidence = Evidence(KEY)
    await evidence.metered(pieces(b"abc")).aclose()  # the command never began
    assert evidence.of_input() == {"stdin_bytes": 0, "stdin_end": "unread"}


def test_no_input_is_an_empty_one() -> None:
    assert Evidence(KEY).of_input() == {"stdin_bytes": 0, "stdin_end": "complete"}


def test_without_a_key_there_are_lengths_and_no_digests() -> None:
    evidence = Evidence(None)
    evidence.count(b"abc")
    assert evidence.of_command(["a"], {}) == {"command": "a", "command_bytes": 2}
    assert evidence.of_input() == {"stdin_bytes": 3, "stdin_end": "complete"}


@needs("openssl")
def test_the_documented_command_of_openssl_finds_the_digest() -> None:
    key, argv = b"k" * 32, ["sh", "-c", "gam info domain | wc -l"]
    evidence = Evidence(key)
    evidence.count(b"an input")
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}"]
    for data, digest in (
        (b"".join(word.encode() + b"\0" for word in argv), evidence.of_command(argv, {})["command_digest"]),
        (b"an input", evidence.of_input()["stdin_digest"]),
    ):
        said = subprocess.run(command, input=data, capture_output=True, check=True).stdout
        assert said.split()[-1].decode() == digest
