"""Settings: read once, validated, naming what is wrong."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.app.composition import App
from shared.core.cleanup.report import Action
from shared.core.sessions.model import SessionState
from shared.errors import ConfigurationError
from shared.settings import Settings
from shared.settings.identity import IdentitySettings
from shared.settings.pods import PodSettings
from shared.settings.sessions import SessionSettings
from shared.settings.variables import variables
from tests.shared.core.sessions.test_service import NEW
from tests.support.people import ALICE

DEV = {"AUTH_MODE": "dev"}


def refused(environ: dict[str, str]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environ)
    return caught.value


def test_nothing_but_the_audience_is_required() -> None:
    settings = Settings.from_env({"AUTH_AUDIENCE": "https://gamgui.example.com"})
    assert (settings.identity.auth_mode, settings.store.kind, settings.pods.namespace) == (
        "google",
        "firestore",
        "gamgui",
    )
    assert refused({}).fields == {"variable": "AUTH_AUDIENCE"}
    assert refused({"AUTH_MODE": "iap"}).fields == {"variable": "AUTH_AUDIENCE"}


async def test_the_largest_numbers_are_as_good_as_any(tmp_path: Path) -> None:
    """A session is made, used, deleted and forgotten by none of the runs of cleanup."""
    numbers = {variable.name: str(2**31 - 1) for variable in variables() if variable.kind is int}
    assert "RETENTION_DAYS" in numbers
    local = {"SESSION_STORE": "sqlite", "SQLITE_PATH": str(tmp_path / "sessions.db")}
    app = App(Settings.from_env({**DEV, **local, **numbers, "USE_MOCK_CONTAINER_ADAPTER": "true"}))
    await app.credentials.get(ALICE)
    ttl = app.settings.sessions.max_ttl_seconds
    session = await app.sessions.create(ALICE, dataclasses.replace(NEW, ttl_seconds=ttl, idle_seconds=ttl))
    await app.session_update.keepalive(ALICE, session.id)
    assert (await app.sessions.delete(ALICE, session.id)).state is SessionState.DELETED
    report = await app.cleanup.run(dry_run=False)
    assert report.faults == [] and report.count("session", Action.FORGOTTEN) == 0
    assert (await app.sessions.get(ALICE, session.id)).state is SessionState.DELETED
    await app.close()


def test_an_empty_variable_is_as_good_as_none() -> None:
    everything_empty = {variable.name: "" for variable in variables()}
    assert Settings.from_env({**everything_empty, **DEV}) == Settings.from_env(DEV)


def test_other_variables_do_not_matter() -> None:
    assert Settings.from_env({**DEV, "session_image": "x", "PATH": "/bin"}) == Settings.from_env(DEV)


def test_the_development_identity_refuses_cloud_run() -> None:
    assert refused({**DEV, "K_SERVICE": "s"}).fields == {"variable": "AUTH_MODE"}


def test_lists_are_separated_by_commas_and_spaces_do_not_count() -> None:
    settings = Settings.from_env({**DEV, "ALLOWED_DOMAINS": " a.com, ,b.com ,", "ALLOWED_IMAGES": "x/*"})
    assert settings.identity.allowed_domains == ("a.com", "b.com")
    assert settings.images.allowed == ("x/*",)


def test_administrators_are_e_mail_addresses() -> None:
    settings = Settings.from_env({**DEV, "ADMIN_EMAILS": "Root@example.com, b@example.com"})
    assert settings.access.admin_emails == ("Root@example.com", "b@example.com")
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
    assert Settings.from_env({**DEV, "SESSION_IDLE_SECONDS": str(seconds)}).sessions.idle_seconds == seconds


_VARIABLES = [variable.name for variable in variables()]


@given(st.dictionaries(st.sampled_from(_VARIABLES), st.text(max_size=12), max_size=6))
def test_any_environment_is_settings_or_a_configuration_error_that_names_a_variable(
    environ: dict[str, str],
) -> None:
    try:
        Settings.from_env(environ)
    except ConfigurationError as error:
        assert error.fields["variable"] in _VARIABLES


_GROUPS: dict[str, Any] = get_type_hints(Settings)


def test_every_setting_has_a_variable_and_a_meaning() -> None:
    assert len(set(_VARIABLES)) == len(_VARIABLES)
    for variable in variables():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", variable.name)
        assert variable.doc


def test_a_variable_of_several_groups_is_the_same_in_each() -> None:
    said: dict[str, set[tuple[Any, ...]]] = {}
    for group in _GROUPS.values():
        types = get_type_hints(group)
        for name, field in group.fields.items():
            said.setdefault(field.env, set()).add((types[name], field.default, field.doc))
    assert {env: meanings for env, meanings in said.items() if len(meanings) > 1} == {}


@pytest.mark.parametrize("name", sorted(_GROUPS))
def test_a_group_is_frozen_and_its_module_is_read_at_a_glance(name: str) -> None:
    group = getattr(Settings.from_env(DEV), name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(group, next(iter(group.fields)), "other")
    source = inspect.getsourcefile(_GROUPS[name])
    assert source is not None and len(Path(source).read_text().splitlines()) <= 60


def test_no_group_that_breaks_a_rule_can_be_made() -> None:
    """Whoever gets a group, from whatever maker, need not check it again."""
    for make in (
        lambda: IdentitySettings(auth_mode="dev", k_service="sessions"),
        lambda: IdentitySettings(auth_mode="iap"),
        lambda: PodSettings(namespace="a.b"),
        lambda: SessionSettings(ttl_seconds=2, max_ttl_seconds=1),
    ):
        with pytest.raises(ConfigurationError):
            make()
