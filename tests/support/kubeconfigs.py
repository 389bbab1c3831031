"""Kubeconfig files for tests."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.support.tls import Authority


def base64_text(data: bytes) -> str:
    """Base64 on one line."""
    return base64.b64encode(data).decode()


def document(cluster: dict[str, Any], user: dict[str, Any] | None = None) -> dict[str, Any]:
    """A kubeconfig with one cluster ``c``, user ``u`` and current context ``x``."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def trusted(address: str, authority: Authority) -> dict[str, Any]:
    """A cluster at host:port with that authority."""
    return {
        "server": f"https://{address}",
        "certificate-authority-data": base64_text(authority.certificate),
    }


def write(folder: Path, content: dict[str, Any], name: str = "config") -> str:
    """Writes it (JSON is YAML); returns the path."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)
