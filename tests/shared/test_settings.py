"""Settings: read once, validated, naming what is wrong."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.app.composition import App
from shared.core.cleanup.report import Action
from shared.core.sessions.model import SessionState
from shared.errors import ConfigurationError
from shared.settings import Settings
from tests.shared.core.sessions.test_service import NEW
from tests.support.people import ALICE

DEV = {"AUTH_MODE": "dev"}


def refused(environ: dict[str, str]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environ)
    return caught.value


def test_nothing_but_the_audience_is_required() -> None:
    settings = Settings.from_env({"AUTH_AUDIENCE": "https://gamgui.example.com"})
    assert (settings.auth_mode, settings.session_store, settings.k8s_namespace) == (
        "google",
        "firestore",
        "gamgui",
    )
    assert refused({}).fields == {"variable": "AUTH_AUDIENCE"}
    assert refused({"AUTH_MODE": "iap"}).fields == {"variable": "AUTH_AUDIENCE"}


async def test_the_largest_numbers_are_as_good_as_any(tmp_path: Path) -> None:
    """A session is made, used, deleted and forgotten by none of the runs of cleanup."""
    numbers = {
        field.metadata["env"]: str(2**31 - 1)
        for field in dataclasses.fields(Settings)
        if get_type_hints(Settings)[field.name] is int
    }
    assert "RETENTION_DAYS" in numbers
    local = {"SESSION_STORE": "sqlite", "SQLITE_PATH": str(tmp_path / "sessions.db")}
    app = App(Settings.from_env({**DEV, **local, **numbers, "USE_MOCK_CONTAINER_ADAPTER": "true"}))
    await app.credentials.get(ALICE)
    ttl = app.settings.max_ttl_seconds
    session = await app.sessions.create(ALICE, dataclasses.replace(NEW, ttl_seconds=ttl, idle_seconds=ttl))
    await app.upkeep.keepalive(ALICE, session.id)
    assert (await app.sessions.delete(ALICE, session.id)).state is SessionState.DELETED
    report = await app.cleanup.run(dry_run=False)
    assert report.faults == [] and report.count("session", Action.FORGOTTEN) == 0
    assert (await app.sessions.get(ALICE, session.id)).state is SessionState.DELETED
    await app.close()


def test_an_empty_variable_is_as_good_as_none() -> None:
    everything_empty = {field.metadata["env"]: "" for field in dataclasses.fields(Settings)}
    assert Settings.from_env({**everything_empty, **DEV}) == Settings.from_env(DEV)


def test_other_variables_do_not_matter() -> None:
    assert Settings.from_env({**DEV, "session_image": "x", "PATH": "/bin"}) == Settings.from_env(DEV)


def test_the_development_identity_refuses_cloud_run() -> None:
    assert refused({**DEV, "K_SERVICE": "s"}).fields == {"variable": "AUTH_MODE"}


def test_lists_are_separated_by_commas_and_spaces_do_not_count() -> None:
    settings = Settings.from_env({**DEV, "ALLOWED_DOMAINS": " a.com, ,b.com ,", "ALLOWED_IMAGES": "x/*"})
    assert settings.allowed_domains == ("a.com", "b.com")
    assert settings.allowed_images == ("x/*",)


def test_administrators_are_e_mail_addresses() -> None:
    settings = Settings.from_env({**DEV, "ADMIN_EMAILS": "Root@example.com, b@example.com"})
    assert settings.admin_emails == ("Root@example.com", "b@example.com")
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({**DEV, "ADMIN_EMAILS": "root@example.com,everybody"})
    assert caught.value.fields["variable"] == "ADMIN_EMAILS"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AUTH_MODE", "none"),
        ("AUTH_MODE", "DEV"),
        ("SESSION_STORE", "memory"),
        ("GKE_ENDPOINT", "any"),
        ("SESSION_FALLBACK", "true"),
        ("USE_MOCK_CONTAINER_ADAPTER", "1"),
        ("USE_MOCK_CONTAINER_ADAPTER", "yes"),
        ("SESSION_TTL_SECONDS", "0"),
        ("SESSION_TTL_SECONDS", "-1"),
        ("SESSION_TTL_SECONDS", "1.5"),
        ("SESSION_TTL_SECONDS", "1h"),
        ("SESSION_TTL_SECONDS", "\u0663"),
        ("MAX_TTL_SECONDS", "2147483648"),
        ("MAX_TTL_SECONDS", "9" * 5000),
        ("SESSION_IDLE_SECONDS", " "),
        ("K8S_NAMESPACE", "Gamgui"),
        ("K8S_NAMESPACE", "a.b"),
        ("K8S_NAMESPACE", "a" * 64),
        ("K8S_NAMESPACE", "gamgui\n"),
        ("SESSION_CPU", "half"),
        ("SESSION_MEMORY", "512mb"),
        ("SESSION_DISK", "-1Gi"),
        ("MAX_SESSION_CPU", "1\n"),
    ],
)
def test_a_malformed_value_is_refused_and_its_variable_named(variable: str, value: str) -> None:
    error = refused({**DEV, variable: value})
    assert error.fields == {"variable": variable}
    assert variable in error.detail


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"GKE_CLUSTER_NAME": "c"}, "GKE_CLUSTER_LOCATION"),
        ({"GKE_CLUSTER_LOCATION": "l"}, "GKE_CLUSTER_NAME"),
        ({"SESSION_TTL_SECONDS": "90000"}, "SESSION_TTL_SECONDS"),
        ({"MAX_TTL_SECONDS": "100"}, "SESSION_TTL_SECONDS"),
        ({"EXEC_TIMEOUT_SECONDS": "4000"}, "EXEC_TIMEOUT_SECONDS"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ: dict[str, str], variable: str) -> None:
    assert refused({**DEV, **environ}).fields == {"variable": variable}


@given(st.integers(1, 2**31 - 1))
def test_any_number_of_seconds_in_32_bits_is_taken(seconds: int) -> None:
    assert Settings.from_env({**DEV, "SESSION_IDLE_SECONDS": str(seconds)}).session_idle_seconds == seconds


_VARIABLES = [field.metadata["env"] for field in dataclasses.fields(Settings)]


@given(st.dictionaries(st.sampled_from(_VARIABLES), st.text(max_size=12), max_size=6))
def test_any_environment_is_settings_or_a_configuration_error_that_names_a_variable(
    environ: dict[str, str],
) -> None:
    try:
        Settings.from_env(environ)
    except ConfigurationError as error:
        assert error.fields["variable"] in _VARIABLES


def test_settings_are_frozen_and_every_one_has_a_variable_and_a_meaning() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.from_env(DEV).auth_mode = "google"  # type: ignore[misc] # it is frozen
    assert len(set(_VARIABLES)) == len(_VARIABLES)
    for field in dataclasses.fields(Settings):
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", field.metadata["env"])
        assert field.metadata["doc"]
    assert set(get_type_hints(Settings)) == {field.name for field in dataclasses.fields(Settings)}
