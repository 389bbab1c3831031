"""Upgrades files of earlier releases to the form in which the engine keeps documents.

The first six releases of the file had tables and columns made by hand. Since the seventh, the tables follow
from what the repositories declare (``tables``), so that a new collection or index needs no new release of the
file. The release of a file is in its ``user_version``.
"""

from __future__ import annotations

import aiosqlite

from shared.core.sessions.names import owner_hash
from shared.store.documents import microseconds, required_time

_CHANGED = "coalesce(json_extract({0}, '$.changed_at'), json_extract({0}, '$.created_at'))"
_USED = f"""INSERT INTO owners VALUES (NEW.owner, {_CHANGED.format("NEW.document")})
    ON CONFLICT (owner) DO UPDATE SET used_at = max(used_at, excluded.used_at);"""  # noqa: S608 - constants

_EARLIER = (
    (
        """CREATE TABLE sessions (
            id TEXT PRIMARY KEY, version TEXT NOT NULL, owner TEXT NOT NULL, state TEXT NOT NULL,
            created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, document TEXT NOT NULL) STRICT""",
        "CREATE INDEX sessions_by_owner ON sessions (owner, created_at DESC, id DESC)",
        "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
        """CREATE TABLE requests (
            key TEXT PRIMARY KEY, version TEXT NOT NULL, expires_at INTEGER NOT NULL,
            document TEXT NOT NULL) STRICT""",
        "CREATE INDEX requests_by_expiry ON requests (expires_at)",
    ),
    (
        """CREATE TABLE jobs (
            id TEXT PRIMARY KEY, version TEXT NOT NULL, session_id TEXT NOT NULL,
            created_at INTEGER NOT NULL, document TEXT NOT NULL) STRICT""",
        "CREATE INDEX jobs_by_session ON jobs (session_id, created_at DESC, id DESC)",
    ),
    (
        "ALTER TABLE sessions ADD COLUMN check_at INTEGER",
        "ALTER TABLE sessions ADD COLUMN purge_at INTEGER",
        "ALTER TABLE sessions ADD COLUMN live INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE sessions ADD COLUMN on_cluster INTEGER NOT NULL DEFAULT 0",
        # Cleanup looks at every session that was not deleted and stores it anew; it forgets deleted sessions
        # at once.
        "UPDATE sessions SET check_at = created_at WHERE state != 'deleted'",
        "UPDATE sessions SET purge_at = created_at WHERE state = 'deleted'",
        """UPDATE sessions SET live = 1, on_cluster = NOT json_extract(document, '$.virtual')
            WHERE state IN ('pending', 'running')""",
        "DROP INDEX sessions_by_expiry",
        "CREATE INDEX sessions_by_check ON sessions (check_at, id) WHERE check_at IS NOT NULL",
        "CREATE INDEX sessions_by_purge ON sessions (purge_at) WHERE purge_at IS NOT NULL",
        "CREATE INDEX live_sessions ON sessions (owner) WHERE live",
        "CREATE INDEX sessions_on_cluster ON sessions (id) WHERE on_cluster",
    ),
    (
        """CREATE TABLE audit (
            id TEXT PRIMARY KEY, session_id TEXT NOT NULL, at INTEGER NOT NULL,
            document TEXT NOT NULL) STRICT""",
        "CREATE INDEX audit_by_session ON audit (session_id, at DESC, id DESC)",
        "CREATE INDEX sessions_by_time ON sessions (created_at DESC, id DESC)",
    ),
    ("CREATE TABLE audit_key (id INTEGER PRIMARY KEY CHECK (id = 1), key TEXT NOT NULL) STRICT",),
    (
        # The time at which an owner's last session was made or ended, as RFC 3339. It outlives the sessions.
        "CREATE TABLE owners (owner TEXT PRIMARY KEY, used_at TEXT NOT NULL) STRICT",
        f"""INSERT INTO owners SELECT owner, max({_CHANGED.format("document")})
            FROM sessions GROUP BY owner""",  # noqa: S608 - constants
        f"CREATE TRIGGER session_made AFTER INSERT ON sessions BEGIN {_USED} END",
        f"""CREATE TRIGGER session_ended AFTER UPDATE OF live ON sessions WHEN OLD.live != NEW.live
            BEGIN {_USED} END""",
    ),
)
"""The statements of each of the first six releases."""

_SEVENTH = (
    # Each table gets ids, versions, and a column for each indexed field, as in module ``tables``.
    *(
        f"DROP INDEX {name}"
        for name in (
            *("sessions_by_owner", "sessions_by_check", "sessions_by_purge", "live_sessions"),
            *("sessions_on_cluster", "sessions_by_time", "requests_by_expiry", "jobs_by_session"),
            "audit_by_session",
        )
    ),
    "DROP TRIGGER session_made",
    "DROP TRIGGER session_ended",
    "ALTER TABLE owners RENAME TO owners_by_address",
    "CREATE TABLE owners (id TEXT PRIMARY KEY, changed_at INTEGER NOT NULL) STRICT",
    "ALTER TABLE sessions ADD COLUMN member TEXT",
    "ALTER TABLE sessions ADD COLUMN member_at INTEGER",
    # What earlier releases counted of old documents was in columns only, and it stays there.
    "ALTER TABLE sessions DROP COLUMN expires_at",
    "ALTER TABLE requests RENAME COLUMN key TO id",
    "ALTER TABLE audit ADD COLUMN version TEXT NOT NULL DEFAULT ''",
    "CREATE TABLE keys (id TEXT PRIMARY KEY, version TEXT NOT NULL, document TEXT NOT NULL) STRICT",
    """INSERT INTO keys SELECT 'audit', lower(hex(randomblob(8))), json_object('key', key)
        FROM audit_key""",
    "DROP TABLE audit_key",
)

_KEY_VIEW = """CREATE VIEW IF NOT EXISTS audit_key AS
    SELECT json_extract(document, '$.key') AS key FROM keys WHERE id = 'audit'"""
"""The view in which an operator reads the key, to compare digests (docs/operations.md)."""

RELEASES = len(_EARLIER) + 1


async def upgrade(connection: aiosqlite.Connection, release: int) -> None:
    """Upgrades a file to the newest release, within the transaction that has begun.

    Args:
        connection: The open file.
        release: The release of the file; 0: the file is new.
    """
    if release:
        for statements in (*_EARLIER[release:], _SEVENTH):
            for statement in statements:
                await connection.execute_fetchall(statement)
        await _count_by_owner(connection)
    await connection.execute_fetchall(_KEY_VIEW)


async def _count_by_owner(connection: aiosqlite.Connection) -> None:
    """Turns the owners, kept by their addresses until now, into groups, whose ids are hashes of addresses."""
    for address, used_at in await connection.execute_fetchall("SELECT owner, used_at FROM owners_by_address"):
        group, at = owner_hash(address), microseconds(required_time(used_at))
        await connection.execute_fetchall("INSERT INTO owners VALUES (?, ?)", (group, at))
        await connection.execute_fetchall(
            "UPDATE sessions SET member = ?, member_at = created_at WHERE live AND owner = ?",
            (group, address),
        )
    await connection.execute_fetchall("DROP TABLE owners_by_address")
    await connection.execute_fetchall("ALTER TABLE sessions DROP COLUMN live")
