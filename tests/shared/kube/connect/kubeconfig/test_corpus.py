"""Generated kubeconfigs, written as people and programs write them: kubectl says what they lead to.

``config view --minify`` tells which server, user and authority a file means. It does not look into the
certificates; a request to a port where nobody listens does, before it fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
from collections.abc import Callable
from typing import Any

import yaml

from shared.errors import ConnectionFailed
from shared.kube.connect.kubeconfig.connection import connect
from shared.kube.connect.kubeconfig.fields import Origin
from shared.kube.connect.kubeconfig.model import Kubeconfig, parse
from tests.shared.kube.connect.access.test_pem import COMMENTS, FALSE, authorities, client
from tests.support.kubeconfigs import base64_text, document
from tests.support.kubectl import kubectl, needs_kubectl

FILES = 16
AT_ONCE = 2
SEED = int(os.environ.get("CORPUS_SEED", "12"))

ORIGIN = Origin("f", None)

pytestmark = needs_kubectl

Write = Callable[[dict[str, Any]], str]
WRITERS: list[Write] = [
    json.dumps,
    lambda content: json.dumps(content, indent="\t", ensure_ascii=False),
    lambda content: json.dumps(content, indent=2).replace("\n", "\r\n"),
    lambda content: json.dumps(content, separators=(",", ":"), sort_keys=True),
    lambda content: "\ufeff" + yaml.safe_dump(content, allow_unicode=True),
    lambda content: yaml.safe_dump(content, default_flow_style=True, width=20),
    lambda content: yaml.safe_dump(content, default_style='"').replace("\n", "\r\n"),
    lambda content: "# Főtanúsítvány\n---\n" + yaml.safe_dump(content, indent=8),
    lambda content: yaml.safe_dump(content).replace(": ", ":\t").replace("\n", "\t# é\n"),
]
NAMES = ["a", "prod", "ä", "yes", "2026-01-01", "arn:aws:eks:eu:1:cluster/x", "gke_p_l_c", "a b", "1e3"]
BREAKS: list[Callable[[str], str]] = [
    lambda text: text.replace("server", "Server", 1),
    lambda text: text.replace("name", "\tname", 1),
    lambda text: text[: len(text) * 2 // 3],
    lambda text: text.replace("current-context", "current_context"),
    lambda text: text.replace(":", "", 1),
    lambda text: text + "\n---\n{}\n",
]
PEM_LINES: list[Callable[[bytes], bytes]] = [
    lambda pem: pem,
    lambda pem: pem.replace(b"\n", b"\r\n"),
    lambda pem: pem.replace(b"\n", b" \t\n"),
    lambda pem: b" " + pem,
    lambda pem: pem.replace(b"-----\n", b"-----\nx: y\n\n", 1),
    lambda pem: pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
    lambda pem: pem[: len(pem) // 2],
    lambda pem: pem.replace(b"\n", b"\r"),
]


def kubeconfig(chance: random.Random) -> str:
    """A file with some entries, most of them whole."""

    def some(values: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if chance.random() < 0.6}

    names = chance.sample(NAMES, 3)
    cluster = {
        "server": "https://127.0.0.1:1",
        "certificate-authority-data": base64_text(chance.choice(authorities())),
        "tls-server-name": "api.example.com",
        "extensions": [{"name": "x", "extension": {"provider": "minikube"}}],
    }
    user = {"token": chance.choice(["t", "1", "true", "a-b.c"]), "as-groups": [], "extensions": []}
    content = {
        **some({"apiVersion": "v1", "kind": "Config", "preferences": {}}),
        "clusters": [{"name": name, "cluster": some(cluster)} for name in names],
        "users": [{"name": name, "user": some(user)} for name in names],
        "contexts": [
            {"name": name, "context": some({"cluster": chance.choice(names), "user": chance.choice(names)})}
            for name in names
        ],
        "current-context": chance.choice(names),
    }
    text = chance.choice(WRITERS)(content)
    return chance.choice(BREAKS)(text) if chance.random() < 0.3 else text


def bundle(chance: random.Random, *parts: bytes) -> bytes:
    """The parts, each perhaps damaged, with comments between them."""
    found = b""
    for part in parts:
        comments = chance.sample([*COMMENTS, FALSE], chance.randrange(3))
        change = chance.choice(PEM_LINES) if chance.random() < 0.5 else PEM_LINES[0]
        found += b"\n".join([*comments, change(part)])
    return found


def meant(config: Kubeconfig) -> dict[str, Any]:
    """What we understood of the current context, in kubectl's words."""
    context = config.contexts[config.current_context]
    cluster, user = config.clusters.get(context.cluster), config.users.get(context.user)
    data = cluster.certificate_authority_data if cluster else None
    return {
        "server": cluster.server if cluster else "",
        "certificate-authority-data": base64_text(data) if data else "",
        "tls-server-name": cluster.tls_server_name if cluster else "",
        "token": (user.token or "") if user else "",
    }


def minified(shown: dict[str, Any]) -> dict[str, Any]:
    """kubectl's answer, as ``meant`` has it."""
    clusters = [item["cluster"] for item in shown["clusters"] or []] or [{}]
    users = [item["user"] for item in shown["users"] or []] or [{}]
    keys = ("server", "certificate-authority-data", "tls-server-name")
    return {**{key: clusters[0].get(key, "") for key in keys}, "token": users[0].get("token", "")}


async def asked(content: str, turn: asyncio.Semaphore, *arguments: str) -> tuple[int, str, str]:
    """kubectl's answer about a kubeconfig of that content."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content.encode())
        file.flush()
        async with turn:
            return await kubectl(file.name, *arguments)


async def test_a_file_means_the_server_user_and_authority_that_kubectl_takes() -> None:
    chance, turn = random.Random(SEED), asyncio.Semaphore(AT_ONCE)

    async def compared(text: str) -> bool:
        view = ("config", "view", "--raw", "--minify", "-o", "json")
        status, shown, errors = await asked(text, turn, *view)
        try:
            ours = meant(parse(text.encode(), ORIGIN))
        except (ConnectionFailed, KeyError):
            assert status != 0, text
            return False
        assert status == 0, (errors, text)
        assert ours == minified(json.loads(shown)), text
        return True

    accepted = await asyncio.gather(*(compared(kubeconfig(chance)) for _ in range(FILES)))
    assert 0 < sum(accepted) < FILES, "a corpus of one kind proves little"


async def test_bundles_and_client_certificates_are_taken_where_kubectl_takes_them() -> None:
    chance, turn = random.Random(SEED), asyncio.Semaphore(AT_ONCE)
    pair, one = client(), authorities()

    async def compared(authority: bytes, certificate: bytes, key: bytes) -> bool:
        content = document(
            {"server": "https://127.0.0.1:1", "certificate-authority-data": base64_text(authority)},
            {"client-certificate-data": base64_text(certificate), "client-key-data": base64_text(key)},
        )
        _, _, errors = await asked(json.dumps(content), turn, "get", "--raw", "/version")
        said = (authority, certificate, key)
        try:
            connect(parse(json.dumps(content).encode(), ORIGIN), method="kubeconfig")
        except ConnectionFailed as error:
            assert "refused" not in errors, (error.detail, said)
            return False
        assert "refused" in errors, (errors, said)
        return True

    def damaged(place: int) -> tuple[bytes, bytes, bytes]:
        parts = [one[0], pair.certificate, pair.key]
        others = chance.sample(one, chance.randrange(2))
        parts[place % 3] = bundle(chance, parts[place % 3], *others)
        return parts[0], parts[1], parts[2]

    accepted = await asyncio.gather(*(compared(*damaged(place)) for place in range(FILES)))
    assert 0 < sum(accepted) < FILES, "a corpus of one kind proves little"
