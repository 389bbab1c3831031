"""Credential files as GAM has them, with a word of the test's in everything secret."""

from __future__ import annotations

import json
from typing import Any

CLIENT_ID = "1234-abc.apps.googleusercontent.com"


def gam_files(secret: str) -> dict[str, bytes]:
    """The three files.

    Args:
        secret: Stands in every field that must not become known.
    """
    key = f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"
    files: dict[str, dict[str, Any]] = {
        "client_secrets.json": {
            "installed": {
                "client_id": CLIENT_ID,
                "project_id": "gam-project-1",
                "auth_uri": "https://accounts.google.com/o/oauth2/v2/auth",
                "token_uri": "https://oauth2.googleapis.com/token",
                "client_secret": f"GOCSPX-{secret}",
                "redirect_uris": ["http://localhost"],
            }
        },
        "oauth2.txt": {
            "client_id": CLIENT_ID,
            "client_secret": f"GOCSPX-{secret}",
            "decoded_id_token": {"email": "admin@example.com", "at_hash": secret},
            "id_token": secret,
            "refresh_token": f"1//{secret}",
            "scopes": ["https://www.googleapis.com/auth/admin.directory.user"],
            "token": f"ya29.{secret}",
            "token_expiry": "2026-03-01T12:00:00Z",
            "token_uri": "https://oauth2.googleapis.com/token",
        },
        "oauth2service.json": {
            "type": "service_account",
            "project_id": "gam-project-1",
            "private_key_id": secret,
            "private_key": key,
            "client_email": "gam-project-1@gam-project-1.iam.gserviceaccount.com",
            "client_id": "110000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "key_type": "default",
        },
    }
    return {name: json.dumps(content, indent=2).encode() for name, content in files.items()}
