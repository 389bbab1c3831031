"""Bodies of requests: every rule, with the reason and the field that it names."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.commands import Command
from shared.core.sessions.new_session import NewSession
from shared.errors import InvalidRequest, PermissionDenied
from shared.quantities import quantity
from shared.settings import Settings
from shared.settings.commands import CommandSettings
from shared.settings.images import ImageSettings
from shared.settings.sessions import SessionSettings
from shared.web.api.commands import ExecBody
from shared.web.http.schemas import CreateSessionBody, decode, image_allowed


def settings(**environ: str) -> tuple[SessionSettings, ImageSettings]:
    all_of_them = Settings.from_env({"AUTH_MODE": "dev", "SESSION_IMAGE": "reg.example.com/gam:7", **environ})
    return all_of_them.sessions, all_of_them.images


def images(**environ: str) -> ImageSettings:
    return settings(**environ)[1]


def create(body: Any, **environ: str) -> NewSession:
    return decode(json.dumps(body).encode(), CreateSessionBody).to_new_session(*settings(**environ))


def exec_(body: Any, **environ: str) -> Command:
    return decode(json.dumps(body).encode(), ExecBody).to_command(
        Settings.from_env({"AUTH_MODE": "dev", **environ}).commands
    )


async def stdin_of(command: Command) -> bytes | None:
    if command.stdin is None:
        return None
    return b"".join([part async for part in command.stdin])


def test_an_empty_body_is_the_operators_defaults() -> None:
    new = create({}, SESSION_CPU="250m", SESSION_TTL_SECONDS="7200", SESSION_IDLE_SECONDS="600")
    assert (new.name, new.image, new.wait_seconds) == ("", "reg.example.com/gam:7", 30)
    assert (new.resources.cpu, new.resources.memory) == ("250m", "512Mi")
    assert (new.ttl_seconds, new.idle_seconds, new.env, new.labels) == (7200, 600, {}, {})


def test_null_is_as_good_as_absent_where_the_description_says_so() -> None:
    nulls = {"image": None, "ttl_seconds": None, "idle_seconds": None, "resources": {"cpu": None}}
    assert create(nulls) == create({})


REFUSED = [
    ({"credentials": ["other.txt"]}, "INVALID_FIELD", "credentials[0]"),
    ({"credentials": ["oauth2.txt", "oauth2.txt"]}, "INVALID_FIELD", "credentials"),
    ({"credentials": "oauth2.txt"}, "WRONG_TYPE", "credentials"),
    ({"credentials": None}, "WRONG_TYPE", "credentials"),
    ({"env": {f"A{n}": "ö" * 8192 for n in range(4)}}, "FIELD_TOO_LONG", "env"),
    ({"nam": "x"}, "UNKNOWN_FIELD", "nam"),
    ({"resources": {"gpu": "1"}}, "UNKNOWN_FIELD", "resources.gpu"),
    ([], "WRONG_TYPE", None),
    ({"name": 1}, "WRONG_TYPE", "name"),
    ({"name": "x" * 101}, "FIELD_TOO_LONG", "name"),
    ({"name": "two\nlines"}, "INVALID_FIELD", "name"),
    ({"name": "line end\n"}, "INVALID_FIELD", "name"),
    ({"name": "\u202egnp.exe"}, "INVALID_FIELD", "name"),
    ({"image": ""}, "INVALID_FIELD", "image"),
    ({"image": "a b"}, "INVALID_FIELD", "image"),
    ({"image": "a\n"}, "INVALID_FIELD", "image"),
    ({"image": "a" * 513}, "INVALID_FIELD", "image"),
    ({"image": "-a"}, "INVALID_FIELD", "image"),
    ({"resources": {"cpu": 1}}, "WRONG_TYPE", "resources.cpu"),
    ({"resources": {"cpu": "1 "}}, "INVALID_FIELD", "resources.cpu"),
    ({"resources": {"cpu": "1m\n"}}, "INVALID_FIELD", "resources.cpu"),
    ({"resources": {"cpu": "-1"}}, "INVALID_FIELD", "resources.cpu"),
    ({"resources": {"cpu": "1e3"}}, "INVALID_FIELD", "resources.cpu"),
    ({"resources": {"cpu": "0"}}, "INVALID_FIELD", "resources.cpu"),
    ({"resources": {"cpu": "0.9m"}}, "INVALID_FIELD", "resources.cpu"),
    ({"resources": {"cpu": "2001m"}}, "INVALID_FIELD", "resources.cpu"),
    ({"resources": {"memory": "15Mi"}}, "INVALID_FIELD", "resources.memory"),
    ({"resources": {"memory": "4097Mi"}}, "INVALID_FIELD", "resources.memory"),
    ({"resources": {"memory": "512mi"}}, "INVALID_FIELD", "resources.memory"),
    ({"env": {"A": 1}}, "WRONG_TYPE", "env[...]"),
    ({"env": {"A": "x\0"}}, "INVALID_FIELD", "env[...]"),
    ({"env": {"A": "x" * 32769}}, "FIELD_TOO_LONG", "env[...]"),
    ({"env": {f"A{n}": "" for n in range(129)}}, "FIELD_TOO_LONG", "env"),
    ({"env": {"1A": ""}}, "INVALID_FIELD", "env"),
    ({"env": {"A-B": ""}}, "INVALID_FIELD", "env"),
    ({"env": {"A=B": ""}}, "INVALID_FIELD", "env"),
    ({"env": {"": ""}}, "INVALID_FIELD", "env"),
    ({"env": {"Ä": ""}}, "INVALID_FIELD", "env"),
    ({"labels": {"": "x"}}, "INVALID_LABEL", "labels"),
    ({"labels": {"a b": "x"}}, "INVALID_LABEL", "labels"),
    ({"labels": {"-a": "x"}}, "INVALID_LABEL", "labels"),
    ({"labels": {"a": "x."}}, "INVALID_LABEL", "labels"),
    ({"labels": {"a": "x" * 64}}, "INVALID_LABEL", "labels[...]"),
    ({"labels": {"A.example/a": "x"}}, "INVALID_LABEL", "labels"),
    ({"labels": {"gamgui.io/session": "x"}}, "INVALID_LABEL", "labels"),
    ({"labels": {"x.kubernetes.io/a": "x"}}, "INVALID_LABEL", "labels"),
    ({"labels": {f"a{n}": "" for n in range(33)}}, "INVALID_LABEL", "labels"),
    ({"ttl_seconds": 59}, "INVALID_FIELD", "ttl_seconds"),
    ({"ttl_seconds": 60.5}, "WRONG_TYPE", "ttl_seconds"),
    ({"ttl_seconds": "60"}, "WRONG_TYPE", "ttl_seconds"),
    ({"ttl_seconds": True}, "WRONG_TYPE", "ttl_seconds"),
    ({"ttl_seconds": 86401}, "INVALID_FIELD", "ttl_seconds"),
    ({"idle_seconds": 59}, "INVALID_FIELD", "idle_seconds"),
    ({"idle_seconds": 2**31}, "INVALID_FIELD", "idle_seconds"),
    ({"wait_seconds": -1}, "INVALID_FIELD", "wait_seconds"),
    ({"wait_seconds": 60.1}, "INVALID_FIELD", "wait_seconds"),
    ({"wait_seconds": None}, "WRONG_TYPE", "wait_seconds"),
]


@pytest.mark.parametrize(("body", "reason", "field"), REFUSED, ids=[str(entry[0])[:50] for entry in REFUSED])
def test_a_create_that_breaks_a_rule_is_refused_and_the_field_named(
    body: Any, reason: str, field: str | None
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        create(body)
    assert (caught.value.reason, caught.value.fields.get("field")) == (reason, field)
    assert len(caught.value.detail) <= 400


ACCEPTED = [
    {"credentials": []},
    {"credentials": ["oauth2service.json", "oauth2.txt", "client_secrets.json"]},
    {"env": {f"A{n}": "ö" * 8191 for n in range(4)}},
    {"name": "Ünïcode 👩‍👩‍👧 name"},
    {"name": "x" * 100},
    {"image": "reg.example.com:5000/a/b@sha256:" + "0" * 64},
    {"resources": {"cpu": "2", "memory": "4Gi"}},
    {"resources": {"cpu": "1m", "memory": "16Mi"}},
    {"resources": {"cpu": "2000m", "memory": "4096Mi"}},
    {"env": {"_": "", "A1": "x" * 32768, "a": "ü\n"}},
    {"labels": {"a": "", "example.com/a.b_c-d": "A.b_c-1"}},
    {"ttl_seconds": 86400, "idle_seconds": 60, "wait_seconds": 0},
    {"wait_seconds": 60},
    {"wait_seconds": 0.5},
]


@pytest.mark.parametrize("body", ACCEPTED, ids=[str(body)[:50] for body in ACCEPTED])
def test_a_create_at_the_bounds_is_accepted(body: Any) -> None:
    create(body, ALLOWED_IMAGES="reg.example.com:5000/*")


def test_the_idle_limit_is_never_longer_than_the_life() -> None:
    assert create({"ttl_seconds": 100, "idle_seconds": 200}).idle_seconds == 100
    assert create({"ttl_seconds": 100}).idle_seconds == 100


def test_the_operators_maxima_hold() -> None:
    environ = {"MAX_TTL_SECONDS": "30000", "MAX_SESSION_CPU": "8"}
    create({"ttl_seconds": 30000, "resources": {"cpu": "8"}}, **environ)
    with pytest.raises(InvalidRequest, match="ttl_seconds is larger than 30000"):
        create({"ttl_seconds": 30001}, **environ)
    with pytest.raises(InvalidRequest, match="not between 1m and 8"):
        create({"resources": {"cpu": "8.001"}}, **environ)


def test_without_any_image_the_request_must_name_one() -> None:
    with pytest.raises(InvalidRequest, match="no SESSION_IMAGE is set"):
        create({}, SESSION_IMAGE="")
    assert create({"image": "a"}, SESSION_IMAGE="", ALLOWED_IMAGES="a").image == "a"


@pytest.mark.parametrize(
    ("allowed", "image", "may"),
    [
        ("reg/a:1", "reg/a:1", True),
        ("reg/*", "reg", False),
        ("reg/a:1, reg/b:*", "reg/b:9", True),
        ("reg/a:*", "reg/b:9", False),
        ("x", "reg.example.com/gam:7", True),  # the operator's own
        ("", "reg.example.com/gam:7", True),
        ("", "anything", False),
    ],
)
def test_the_operators_image_is_allowed_and_those_of_the_list(allowed: str, image: str, may: bool) -> None:
    assert image_allowed(image, images(ALLOWED_IMAGES=allowed)) is may
    if may:
        assert create({"image": image}, ALLOWED_IMAGES=allowed).image == image
    else:
        with pytest.raises(PermissionDenied) as caught:
            create({"image": image}, ALLOWED_IMAGES=allowed)
        assert (caught.value.reason, caught.value.fields) == ("IMAGE_NOT_ALLOWED", {"image": image})


def test_without_a_list_any_image_is_allowed_on_a_laptop_only() -> None:
    assert image_allowed("anything", images(SESSION_STORE="sqlite"))
    assert not image_allowed("anything", images(SESSION_STORE="firestore"))
    assert not image_allowed("anything", images(SESSION_STORE="sqlite", ALLOWED_IMAGES="other"))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("500m", 0.5),
        ("1.5", 1.5),
        ("1k", 1000),
        ("2Ki", 2048),
        ("1M", 10**6),
        ("3Mi", 3 * 2**20),
        ("1G", 10**9),
        ("0.5Gi", 2**29),
        ("1T", 10**12),
        ("1Ti", 2**40),
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str, number: float) -> None:
    assert float(quantity(text)) == number


def test_a_line_is_for_the_pods_shell_and_a_list_is_not() -> None:
    assert exec_({"command": "gam info domain | wc"}).argv == ["sh", "-c", "gam info domain | wc"]
    assert exec_({"command": ["gam", "a b", "$X", ""]}).argv == ["gam", "a b", "$X", ""]


def test_a_commands_defaults_and_bounds_of_time_are_the_operators() -> None:
    assert exec_({"command": ["x"]}, EXEC_TIMEOUT_SECONDS="7").timeout_seconds == 7
    assert exec_({"command": ["x"], "timeout_seconds": 0.5}).timeout_seconds == 0.5
    with pytest.raises(InvalidRequest, match="larger than 3300"):
        exec_({"command": ["x"], "timeout_seconds": 3300.5})


REFUSED_COMMANDS = [
    ({}, "MISSING_FIELD", None),
    ({"command": []}, "INVALID_FIELD", "command"),
    ({"command": ""}, "INVALID_FIELD", "command"),
    ({"command": [""]}, "INVALID_FIELD", "command"),
    ({"command": ["", "x"]}, "INVALID_FIELD", "command"),
    ({"command": ["x", 1]}, "WRONG_TYPE", "command[1]"),
    ({"command": "a\0b"}, "INVALID_FIELD", "command"),
    ({"command": ["x", "a\0b"]}, "INVALID_FIELD", "command[1]"),
    ({"command": ["x"] * 4097}, "FIELD_TOO_LONG", "command"),
    ({"command": ["x" * 131073]}, "FIELD_TOO_LONG", "command[0]"),
    ({"command": {"a": 1}}, "WRONG_TYPE", "command"),
    ({"command": ["x"], "tty": True}, "UNKNOWN_FIELD", "tty"),
    ({"command": ["x"], "stdin": "a", "stdin_base64": "YQ=="}, "INVALID_FIELD", "stdin"),
    ({"command": ["x"], "stdin_base64": "YQ="}, "INVALID_FIELD", "stdin_base64"),
    ({"command": ["x"], "stdin_base64": "YQ==\n"}, "INVALID_FIELD", "stdin_base64"),
    ({"command": ["x"], "stdin_base64": "Y Q="}, "INVALID_FIELD", "stdin_base64"),
    ({"command": ["x"], "stdin_base64": "_-=="}, "INVALID_FIELD", "stdin_base64"),
    ({"command": ["x"], "timeout_seconds": 0}, "INVALID_FIELD", "timeout_seconds"),
    ({"command": ["x"], "timeout_seconds": 1e308}, "INVALID_FIELD", "timeout_seconds"),
    ({"command": ["x"], "workdir": "tmp"}, "INVALID_FIELD", "workdir"),
    ({"command": ["x"], "workdir": "/tmp\n"}, "INVALID_FIELD", "workdir"),
    ({"command": ["x"], "workdir": "/" * 4097}, "FIELD_TOO_LONG", "workdir"),
    ({"command": ["x"], "env": {"A B": ""}}, "INVALID_FIELD", "env"),
]


@pytest.mark.parametrize(
    ("body", "reason", "field"), REFUSED_COMMANDS, ids=[str(entry[0])[:60] for entry in REFUSED_COMMANDS]
)
def test_a_command_that_breaks_a_rule_is_refused_and_the_field_named(
    body: Any, reason: str, field: str | None
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        exec_(body)
    assert (caught.value.reason, caught.value.fields.get("field")) == (reason, field)


@given(st.binary())
async def test_input_in_base64_arrives_as_it_is(data: bytes) -> None:
    assert await stdin_of(exec_({"command": ["x"], "stdin_base64": base64.b64encode(data).decode()})) == data


async def test_input_as_text_is_sent_as_utf8_and_absent_input_is_none() -> None:
    assert await stdin_of(exec_({"command": ["x"], "stdin": "ü\n"})) == b"\xc3\xbc\n"
    assert await stdin_of(exec_({"command": ["x"], "stdin": ""})) == b""
    assert await stdin_of(exec_({"command": ["x"], "stdin": None})) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_fields = st.sampled_from(["name", "image", "resources", "env", "labels", "ttl_seconds", "command", "stdin"])


@given(
    st.binary() | st.dictionaries(_fields, _json, max_size=3).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_a_body_or_an_invalid_request(body: bytes) -> None:
    shapes: tuple[type[CreateSessionBody | ExecBody], ...] = (CreateSessionBody, ExecBody)
    for shape in shapes:
        try:
            known = decode(body, shape)
            if isinstance(known, CreateSessionBody):
                known.to_new_session(*settings())
            else:
                known.to_command(CommandSettings())
        except (InvalidRequest, PermissionDenied) as error:
            assert error.status in (400, 403)
            assert error.detail.encode()
