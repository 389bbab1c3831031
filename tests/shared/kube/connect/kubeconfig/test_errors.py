"""A kubeconfig that cannot be used is told by file, entry and what to do, and no other cluster is taken."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shared.errors import ConnectionFailed
from shared.kube.connect.resolver import resolve
from shared.reasons import Reason
from shared.settings.cluster import ClusterSettings
from tests.support.kubeconfigs import base64_text, document, write
from tests.support.tls import Authority, private_pem

AUTHORITY = Authority("cluster authority")
CLIENTS = Authority("client authority")
CLIENT = CLIENTS.issue_client("alice")


async def failure(content: dict[str, Any], folder: Path) -> ConnectionFailed:
    path = write(folder, content)
    with pytest.raises(ConnectionFailed) as caught:
        connection = await resolve(ClusterSettings(kubeconfig=path))
        await connection.credentials.authorization()
    assert path in caught.value.detail
    assert caught.value.fields.get("file", path) == path
    assert "SECRET" not in caught.value.detail
    return caught.value


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("%%%", "kubectl config view --flatten"),
        (base64_text(b"\tx"), "not valid YAML"),
        (base64_text(b"{}"), "no current-context"),
        (
            base64_text(
                json.dumps(document({"server": "https://h", "certificate-authority": "ca.crt"})).encode()
            ),
            "embed the content",
        ),
    ],
)
async def test_malformed_base64_setting_says_what_to_do(text: str, hint: str) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        await resolve(ClusterSettings(kubeconfig_base64=text))
    assert caught.value.detail.startswith("KUBECONFIG_BASE64 ")
    assert hint in caught.value.detail


BAD_CLUSTERS: list[tuple[dict[str, Any], str]] = [
    ({"server": "https://h", "proxy-url": "socks5://u:SECRET@h:1"}, "SOCKS"),
    ({"server": "https://h", "proxy-url": "proxy:3128"}, "http://host:port"),
    ({}, "no server"),
    ({"server": ""}, "no server"),
    ({"server": "h:8080"}, "https://host:port"),
    ({"server": "ftp://h"}, "https://host:port"),
    ({"server": "https://u:SECRET@h"}, "https://host:port"),
    ({"server": "https://h?SECRET"}, "https://host:port"),
    ({"server": "https://h:99999"}, "https://host:port"),
    ({"server": "https://[::1"}, "https://host:port"),
    ({"server": "https://h h"}, "https://host:port"),
    ({"server": "https://"}, "https://host:port"),
    ({"server": "https://h", "certificate-authority": "missing"}, "cannot be read"),
    ({"server": "https://h", "certificate-authority": "."}, "cannot be read"),
    ({"server": "https://h", "certificate-authority": "/dev/null"}, "no PEM certificate"),
    ({"server": "https://h", "certificate-authority-data": "U0VDUkVU"}, "no PEM certificate"),
    ({"server": "https://h", "certificate-authority-data": "%"}, "not base64"),
    ({"server": "https://h", "tls-server-name": "a b"}, "no name"),
    (
        {
            "server": "https://h",
            "insecure-skip-tls-verify": True,
            "certificate-authority-data": base64_text(AUTHORITY.certificate),
        },
        "both",
    ),
]


@pytest.mark.parametrize(("cluster", "hint"), BAD_CLUSTERS)
async def test_malformed_cluster_names_file_entry_and_fault(
    tmp_path: Path, cluster: dict[str, Any], hint: str
) -> None:
    error = await failure(document(cluster), tmp_path)
    assert hint in error.detail
    assert "'c'" in error.detail or "clusters[0].cluster" in error.detail


ENCRYPTED = private_pem(ec.generate_private_key(ec.SECP256R1()), b"SECRET")
BAD_USERS: list[tuple[dict[str, Any], str]] = [
    ({"token": "a b"}, "characters"),
    ({"token": "SECRET\nX-Header: 1"}, "characters"),
    ({"tokenFile": "missing"}, "cannot be read"),
    ({"tokenFile": "."}, "cannot be read"),
    ({"tokenFile": "/dev/null"}, "holds no bearer token"),
    ({"token": "SECRET", "password": "SECRET"}, "both a token and a password"),
    ({"client-certificate-data": base64_text(CLIENT.certificate)}, "no client-key"),
    ({"client-key-data": base64_text(CLIENT.key)}, "no client-certificate"),
    ({"client-certificate-data": base64_text(CLIENT.certificate), "client-key": "missing"}, "cannot be read"),
    (
        {
            "client-certificate-data": base64_text(CLIENT.certificate),
            "client-key-data": base64_text(CLIENTS.issue_client("eve").key),
        },
        "do not belong together",
    ),
    (
        {
            "client-certificate-data": base64_text(CLIENT.certificate),
            "client-key-data": base64_text(ENCRYPTED),
        },
        "encrypted",
    ),
    (
        {
            "client-certificate-data": base64_text(b"SECRET"),
            "client-key-data": base64_text(b"SECRET"),
        },
        "do not load",
    ),
    ({"auth-provider": {"name": "gcp", "config": {"access-token": "SECRET"}}}, "gke-gcloud-auth-plugin"),
    ({"as": "system:admin", "token": "SECRET"}, "impersonates"),
    ({"as-groups": ["g"]}, "impersonates"),
]


@pytest.mark.parametrize(("user", "hint"), BAD_USERS)
async def test_malformed_user_names_file_entry_and_fault(
    tmp_path: Path, user: dict[str, Any], hint: str
) -> None:
    error = await failure(document({"server": "https://h"}, user), tmp_path)
    assert hint in error.detail
    assert "'u'" in error.detail


@pytest.mark.parametrize(
    ("change", "reason", "hint"),
    [
        ({"current-context": ""}, "KUBECONFIG_NO_CONTEXT", "kubectl config use-context"),
        ({"current-context": "y"}, "KUBECONFIG_NO_CONTEXT", "there are: x"),
        ({"clusters": []}, "KUBECONFIG_INCOMPLETE", "cluster 'c'"),
        ({"users": []}, "KUBECONFIG_INCOMPLETE", "user 'u'"),
        ({"contexts": [{"name": "x", "context": {}}]}, "KUBECONFIG_INCOMPLETE", "context 'x'"),
    ],
)
async def test_context_that_leads_nowhere_is_an_error(
    tmp_path: Path, change: dict[str, Any], reason: str, hint: str
) -> None:
    error = await failure({**document({"server": "https://h"}), **change}, tmp_path)
    assert error.reason == reason
    assert hint in error.detail
    assert "localhost" not in error.detail


async def test_missing_files_are_an_error_and_not_another_cluster(tmp_path: Path) -> None:
    home = write(tmp_path / ".kube", document({"server": "https://other"}))
    assert (await resolve(ClusterSettings(home=str(tmp_path)))).method == "home-kubeconfig"
    path = f"{tmp_path}/a{os.pathsep}{tmp_path}/b"
    with pytest.raises(ConnectionFailed) as caught:
        await resolve(ClusterSettings(kubeconfig=path, home=str(tmp_path)))
    assert caught.value.reason == Reason.KUBECONFIG_NOT_FOUND
    assert f"{tmp_path}/b" in caught.value.detail
    assert home not in caught.value.detail


@pytest.mark.parametrize("name", ["folder", "large", "nul\0"])
async def test_unreadable_file_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"#" * 2_000_000)
    with pytest.raises(ConnectionFailed) as caught:
        await resolve(ClusterSettings(kubeconfig=str(tmp_path / name)))
    assert caught.value.reason == Reason.KUBECONFIG_UNREADABLE
