"""Kubeconfig files mean to us what they mean to kubectl, and garbage is told as such."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.errors import ConnectionFailed
from shared.kube.connect.kubeconfig.connection import connect
from shared.kube.connect.kubeconfig.fields import Origin
from shared.kube.connect.kubeconfig.model import Kubeconfig, merge, parse
from shared.reasons import Reason
from tests.support.kubectl import merged, needs_kubectl

ORIGIN = Origin("config", Path("/nonexistent"))

NAMES = st.sampled_from(["a", "b", "c", "ä", "2026-01-01", "yes", ""])
TEXTS = st.one_of(
    st.sampled_from(["", "x", "1", "true", "2026-01-01", "https://h:1"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=5),
    st.text("0123456789+-._:eExabyYnN~=<!&*'\"#{}[] \n", max_size=6),
)
DATA = st.binary(max_size=4).map(lambda data: base64.b64encode(data).decode())


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with any of the fields; keys are written with hyphens."""
    return st.fixed_dictionaries({}, optional={key.replace("_", "-"): kind for key, kind in fields.items()})


def entries(singular: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    entry = st.fixed_dictionaries({"name": NAMES, singular: value})
    return st.lists(entry, max_size=3, unique_by=lambda item: item["name"])


CLUSTERS = some(
    server=TEXTS,
    tls_server_name=TEXTS,
    certificate_authority=TEXTS,
    certificate_authority_data=DATA,
    insecure_skip_tls_verify=st.booleans(),
    proxy_url=TEXTS,
)
USERS = some(
    token=TEXTS,
    tokenFile=TEXTS,
    username=TEXTS,
    password=TEXTS,
    client_certificate=TEXTS,
    client_certificate_data=DATA,
    client_key=TEXTS,
    client_key_data=DATA,
)
FILES = some(
    clusters=entries("cluster", CLUSTERS),
    users=entries("user", USERS),
    contexts=entries("context", some(cluster=NAMES, user=NAMES, namespace=TEXTS)),
    current_context=NAMES,
)


# Plain words that some reader of YAML or other takes for something else than a string.
WORDS = """
    y N on Off yes Yes yES ~ null = 1e 1e3 2E00 12:30 1:20:30 0x1f 0b11 017 09 0_0 1_000 +1 -1 -- .5 5. .
    0E0_ 1_e3 1_.5 .5_ -_5 -_.5 _5 0_x1f 0x_ 0x1_F 0b_1 0b 0o17 1__0 1_ 1._5 1e_3 1e1000 99999999999999999999
    .0E0_0 .0_0 .5E1_0 .1_0 .0E+0_0 .0e0_ .E1 ._1 .0E_0 .0E0__0 .1E1_ 1_.1_e1_ .1e1000 .1__0
    -0x1f +0b11 -017 0_17 .inf -.Inf .nan 1.2.3 1970-01-01T00:00:00Z
"""


@needs_kubectl
@given(st.lists(FILES, min_size=1, max_size=3))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_files_are_merged_as_kubectl_merges_them(files: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index, content in enumerate(files):
            paths.append(Path(folder, f"{index}.yaml"))
            paths[-1].write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        expected = asyncio.run(merged(os.pathsep.join(map(str, paths))))
        try:
            ours = merge([parse(path.read_bytes(), Origin(path.name, path.parent)) for path in paths])
        except ConnectionFailed:
            assert expected is None
        else:
            assert expected is not None
            assert view(ours) == normal(expected)


@needs_kubectl
@pytest.mark.parametrize(
    "text",
    [
        "",
        "apiVersion: v1\n",
        "kind: Config\n",
        "kind: Pod\n",
        "apiVersion: v2\nkind: Config\n",
        "[]\n",
        "text\n",
        "users: null\n",
        "users: {}\n",
        "users:\n- null\n",
        "users:\n- name: 1\n",
        "users:\n- name: yes\n",
        "users:\n- name: 2026-01-01\n",
        *(f"current-context: {word}\n" for word in WORDS.split()),
        "users:\n- name: a\n- name: a\n",
        "users:\n- name: a\n  user: null\n",
        "users:\n- name: a\n  user: []\n",
        "users:\n- user: {token: x}\n",
        "users:\n- name: a\n  user: {token: 5}\n",
        "users:\n- name: a\n  user: {token: 2026-01-01}\n",
        "users:\n- name: a\n  user: {Token: z}\n",
        "users:\n- name: a\n  user: {client-key-data: '%%'}\n",
        'users:\n- name: a\n  user: {client-key-data: "YWJj\\nZGVm"}\n',
        "users:\n- name: a\n  user: {exec: {command: x, args: [1]}}\n",
        "users:\n- name: a\n  user: {exec: {command: x, env: [{name: A, value: 1}]}}\n",
        "clusters:\n- name: a\n  cluster: {server: null}\n",
        "clusters:\n- name: a\n  cluster: {insecure-skip-tls-verify: 'true'}\n",
        "clusters:\n- name: a\n  cluster: {insecure-skip-tls-verify: on}\n",
        "current-context: a\n---\ncurrent-context: b\n",
        "current-context: a\ncurrent-context: b\n",
        "base: &b {token: x}\nusers:\n- name: a\n  user: *b\n",
        "base: &b {token: x}\nusers:\n- name: a\n  user: {<<: *b, username: z}\n",
        '{"current-context": "json"}',
        '{\n\t"current-context": "tabs",\r\n\t"users": [\t{"name":"a"}\t]\n}',
        '{current-context: "a", "%s": 1}' % ("k" * 2000),
        '\ufeff{"current-context": "mark"}',
        r'{"current-context": "\u00e9\n\b\f"}',
        '{"current-context": "a",}',
        "current-context:\ta\t# b\n \t \nusers:\n-\tname:\tb\n",
        "current-context: a\tb\n",
        "current-context: a\n\tb\n",
        "current-context: a\n  \tb\n",
        "users:\n\t- name: a\n",
        "current-context: |\t# c\n  a\n",
        "current-context: |-\n  a\n\n",
        "current-context: >2+\t\n   a\n  b\n\n",
        "current-context: |0\n  a\n",
        "current-context: |+-\n  a\n",
        "current-context: |x\n  a\n",
        "{current-context:a}\n",
        "{users: [{name: a:}]}\n",
        "current-context: !foo 5\n",
        "current-context: !!binary YWJj\n",
        "%YAML 1.1\n---\ncurrent-context: a\n",
        "%YAML 1.2\n---\ncurrent-context: a\n",
        "~: a\n",
        "preferences: {colors: 5}\n",
        "preferences: {colors: true}\n",
        "preferences: []\n",
        "extensions: {}\n",
        "contexts: [{name: a, context: {extensions: [{name: 5}]}}]\n",
        "contexts: [{name: a, context: {extensions: [{name: x, extension: {a: 5}}]}}]\n",
        "users: [{name: a, user: {as-groups: [1]}}]\n",
        "users: [{name: a, user: {as-user-extra: {a: b}}}]\n",
        "users: [{name: a, user: {auth-provider: {name: x, config: {a: 5}}}}]\n",
        'clusters: [{name: a, cluster: {certificate-authority-data: "YW Jj"}}]\n',
        'clusters: [{name: a, cluster: {certificate-authority-data: "YW\\r\\nJj"}}]\n',
        "\tfoo: b\n",
        "a: [\n",
    ],
)
async def test_file_is_accepted_or_refused_as_kubectl_does(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    expected = await merged(str(path))
    try:
        ours = parse(path.read_bytes(), ORIGIN)
    except ConnectionFailed as error:
        assert expected is None, error.detail
        assert error.reason == Reason.KUBECONFIG_INVALID
        assert error.detail.startswith("config ")
    else:
        assert expected is not None
        assert view(ours) == normal(expected)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (r'{"current-context": "a\/b"}', "a/b"),
        (r'{"current-context": "\ud83d\ude00"}', "\U0001f600"),
        ('{\n\t"current-context"\t:"a\\tb"\n}\n', "a\tb"),
        ('  {"current-context":"yes"}', "yes"),
    ],
)
def test_json_is_read_as_json(text: str, context: str) -> None:
    """kubectl refuses the first two, as its YAML does; every other program that reads JSON takes them."""
    assert parse(text.encode(), ORIGIN).current_context == context


YAML_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.binary(max_size=8),
        st.dates(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=4), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)
KEYS = [
    "clusters",
    "users",
    "contexts",
    "current-context",
    "kind",
    "apiVersion",
    "name",
    "cluster",
    "user",
    "context",
    "server",
    "token",
    "tokenFile",
    "client-key",
    "client-key-data",
    "client-certificate",
    "certificate-authority-data",
    "exec",
    "command",
    "args",
    "env",
    "value",
    "apiVersion",
    "interactiveMode",
    "provideClusterInfo",
    "extensions",
    "extension",
    "auth-provider",
    "as",
    "proxy-url",
    "password",
]
SHAPED = st.recursive(
    st.one_of(YAML_VALUES, st.sampled_from(["a", "https://h", "client.authentication.k8s.io/v1", "Never"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.one_of(st.binary(max_size=200), SHAPED.map(lambda value: yaml.dump(value).encode())))
@example(b"a: 2026-99-99")
@example(b"a: " + b"9" * 5000)
@example(b"[" * 5000)
@example(b"a: &a [*a]\nusers: *a")
@example(b"users: &a\n- user: &u {exec: *u}")
@example(b'users:\n- name: "\\ud800"\n')
@example(b"? [a]\n: b")
@example(b"!!python/object/apply:os.system [id]")
@example(b"a: !!timestamp x\nb: !!int x\nc: !!float y\nd: !!bool z")
@example(b"\xff\xfe\x00")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_a_kubeconfig_or_an_error_of_ours(content: bytes) -> None:
    try:
        connect(parse(content, ORIGIN), method="kubeconfig")
    except ConnectionFailed as error:
        json.dumps(error.fields)
        error.detail.encode()


ANYTHING = st.one_of(TEXTS, st.none(), st.booleans(), DATA)


@given(
    some(
        server=st.one_of(
            ANYTHING,
            st.sampled_from(
                ["https://h", "http://h:1/", "https://[::1]:1", "https://u:p@h", "https://h:99999"]
            ),
        ),
        certificate_authority=ANYTHING,
        certificate_authority_data=ANYTHING,
        tls_server_name=ANYTHING,
        proxy_url=ANYTHING,
        insecure_skip_tls_verify=st.one_of(st.booleans(), TEXTS),
    ),
    some(
        token=ANYTHING,
        tokenFile=ANYTHING,
        username=ANYTHING,
        password=ANYTHING,
        client_certificate=ANYTHING,
        client_certificate_data=ANYTHING,
        client_key=ANYTHING,
        client_key_data=ANYTHING,
        exec=some(command=ANYTHING, apiVersion=ANYTHING, interactiveMode=ANYTHING),
        auth_provider=some(name=ANYTHING),
    ),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_current_context_is_connected_or_an_error_of_ours(
    cluster: dict[str, Any], user: dict[str, Any]
) -> None:
    content = yaml.dump(
        {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )
    try:
        connection = connect(parse(content.encode(), ORIGIN), method="kubeconfig")
    except ConnectionFailed as error:
        assert error.fields["file"] == "config"
    else:
        assert connection.server.startswith(("https://", "http://"))
        assert connection.server == cluster["server"].rstrip("/")


def test_half_a_surrogate_pair_is_no_text() -> None:
    """Neither a header nor our own answer could hold it."""
    with pytest.raises(ConnectionFailed, match="current-context is no Unicode text"):
        parse(b'current-context: "\\ud800"\n', ORIGIN)
    with pytest.raises(ConnectionFailed, match="current-context is no Unicode text"):
        parse(b'{"current-context": "\\ud800"}', ORIGIN)


def test_secrets_stay_out_of_representations() -> None:
    text = (
        "users:\n- name: a\n  user: {token: SECRET, password: SECRET, client-key-data: U0VDUkVU, "
        "exec: {command: x, env: [{name: A, value: SECRET}]}}\n"
        "clusters:\n- name: c\n  cluster: {proxy-url: 'http://u:SECRET@h'}\n"
    )
    assert "SECRET" not in repr(parse(text.encode(), ORIGIN))


@pytest.mark.parametrize(
    "text", ["token: SECRET: x\n", "users:\n- name: a\n  user: {token: [SECRET]}\n", "!SECRET x\n"]
)
def test_error_names_the_place_and_not_what_stands_there(text: str) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        parse(text.encode(), ORIGIN)
    assert "SECRET" not in caught.value.detail


def view(config: Kubeconfig) -> dict[str, Any]:
    """What we understood, in kubectl's words."""
    return {
        "current-context": config.current_context,
        "clusters": {
            name: present(
                {
                    "server": entry.server,
                    "tls-server-name": entry.tls_server_name,
                    "certificate-authority": entry.certificate_authority,
                    "certificate-authority-data": encoded(entry.certificate_authority_data),
                    "insecure-skip-tls-verify": entry.insecure_skip_tls_verify,
                    "proxy-url": entry.proxy_url,
                }
            )
            for name, entry in config.clusters.items()
        },
        "users": {
            name: present(
                {
                    "token": entry.token,
                    "tokenFile": entry.token_file,
                    "username": entry.username,
                    "password": entry.password,
                    "client-certificate": entry.client_certificate,
                    "client-certificate-data": encoded(entry.client_certificate_data),
                    "client-key": entry.client_key,
                    "client-key-data": encoded(entry.client_key_data),
                }
            )
            for name, entry in config.users.items()
        },
        "contexts": {
            name: present({"cluster": entry.cluster, "user": entry.user, "namespace": entry.namespace})
            for name, entry in config.contexts.items()
        },
    }


def normal(document: dict[str, Any]) -> dict[str, Any]:
    """kubectl's answer without what we do not read."""
    ignored = ("exec", "preferences", "extensions")

    def named(plural: str, singular: str) -> dict[str, Any]:
        return {
            item["name"]: present({k: v for k, v in item[singular].items() if k not in ignored})
            for item in document[plural] or []
        }

    return {
        "current-context": document["current-context"],
        "clusters": named("clusters", "cluster"),
        "users": named("users", "user"),
        "contexts": named("contexts", "context"),
    }


def present(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}


def encoded(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
