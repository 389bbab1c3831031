"""People who call, as the development identity has them."""

from __future__ import annotations

from shared.core.person import Person


def person(email: str) -> Person:
    return Person(subject=f"dev:{email}", email=email)


ALICE, BOB, ROOT = person("alice@example.com"), person("bob@example.com"), person("root@example.com")
