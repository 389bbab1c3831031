"""scripts/: what they ask of gcloud, and what becomes of failures."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.shared.identity.issuer import AUDIENCE, Issuer
from tests.support import laptop
from tests.support.gateway_process import ROOT, gateway
from tests.support.patience import PATIENCE
from tests.support.stub_program import Rule, StubProgram
from tests.support.terraform import PLATFORM, local_values

IMAGE = "europe-west1-docker.pkg.dev/p/gamgui/functions@sha256:" + "a" * 64
SERVICES = sorted(
    "gamgui-" + source.parent.name.replace("_", "-") for source in (ROOT / "functions").glob("*/main.py")
)
PLACE = ["--project=p", "--region=europe-west1", "--quiet"]
SERVING = Rule(["describe"], "current-1\n")


@pytest.fixture
async def google() -> AsyncIterator[Issuer]:
    async with Issuer("RS256").serving() as issuer:
        yield issuer


def run(
    script: str, *arguments: str, gcloud: StubProgram | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PROJECT": "p", "REGION": "europe-west1", "PATH": "/usr/bin:/bin", **variables}
    if gcloud is not None:
        environment |= gcloud.environment()
    return subprocess.run(
        [str(ROOT / "scripts" / script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def asked(gcloud: StubProgram, command: str) -> list[list[str]]:
    """What followed ``gcloud run services COMMAND``, by service; the place is checked and left out."""
    found = []
    for call in gcloud.calls():
        if call[:3] == ["run", "services", command]:
            assert call[-3:] == PLACE
            found.append(call[3:-3])
    return sorted(found)


def test_deploy_gives_every_function_the_image_and_then_the_traffic(tmp_path: Path) -> None:
    gcloud = StubProgram(tmp_path, "gcloud", [SERVING])
    done = run("deploy", IMAGE, gcloud=gcloud, PREVIOUS=str(tmp_path / "previous"))
    assert done.returncode == 0, done.stderr
    assert asked(gcloud, "update") == [[service, f"--image={IMAGE}", "--no-traffic"] for service in SERVICES]
    assert asked(gcloud, "update-traffic") == [[service, "--to-latest"] for service in SERVICES]
    commands = [call[2] for call in gcloud.calls()]
    last = {command: len(commands) - 1 - commands[::-1].index(command) for command in set(commands)}
    assert last["describe"] < commands.index("update"), "what to go back to is known before anything changes"
    assert last["update"] < commands.index("update-traffic"), "traffic moves when all revisions are there"
    previous = (tmp_path / "previous").read_text().splitlines()
    assert previous == [f"{service} current-1" for service in SERVICES]


def test_deploy_moves_no_traffic_when_a_revision_does_not_start(tmp_path: Path) -> None:
    broken = Rule(["update", "gamgui-exec-command", "--no-traffic"], code=1)
    gcloud = StubProgram(tmp_path, "gcloud", [SERVING, broken])
    done = run("deploy", IMAGE, gcloud=gcloud, PREVIOUS=str(tmp_path / "previous"))
    assert done.returncode != 0
    assert "gamgui-exec-command" in done.stderr
    assert asked(gcloud, "update-traffic") == []


def test_deploy_takes_all_traffic_back_when_one_function_does_not_get_it(tmp_path: Path) -> None:
    broken = Rule(["update-traffic", "gamgui-health", "--to-latest"], code=1)
    gcloud = StubProgram(tmp_path, "gcloud", [SERVING, broken])
    done = run("deploy", IMAGE, gcloud=gcloud, PREVIOUS=str(tmp_path / "previous"))
    assert done.returncode != 0
    back = [call for call in asked(gcloud, "update-traffic") if "--to-latest" not in call]
    assert back == [[service, "--to-revisions=current-1=100"] for service in SERVICES]


@pytest.mark.parametrize("image", ["", "functions:latest", IMAGE[:-1], f"{IMAGE} --allow-unauthenticated"])
def test_deploy_takes_only_images_by_digest(image: str, tmp_path: Path) -> None:
    gcloud = StubProgram(tmp_path, "gcloud")
    assert run("deploy", image, gcloud=gcloud).returncode == 2
    assert gcloud.calls() == []


def test_deploy_does_nothing_where_it_would_not_know_the_way_back(tmp_path: Path) -> None:
    gcloud = StubProgram(tmp_path, "gcloud", [Rule(["describe"], "")])
    done = run("deploy", IMAGE, gcloud=gcloud, PREVIOUS=str(tmp_path / "previous"))
    assert done.returncode != 0
    assert {call[2] for call in gcloud.calls()} == {"describe"}


@pytest.mark.parametrize("script", ["deploy", "rollback", "mock-adapter"])
def test_scripts_say_what_is_not_set(script: str) -> None:
    arguments = {"deploy": [IMAGE], "rollback": [], "mock-adapter": ["on"]}[script]
    done = run(script, *arguments, PROJECT="")
    assert done.returncode != 0
    assert "PROJECT" in done.stderr


def test_rollback_goes_to_the_revisions_that_deploy_wrote(tmp_path: Path) -> None:
    gcloud = StubProgram(tmp_path, "gcloud")
    file = tmp_path / "previous"
    file.write_text("".join(f"{service} {service}-7\n" for service in SERVICES))
    done = run("rollback", str(file), gcloud=gcloud)
    assert done.returncode == 0, done.stderr
    assert asked(gcloud, "update-traffic") == [
        [service, f"--to-revisions={service}-7=100"] for service in SERVICES
    ]


def test_rollback_without_a_file_goes_to_the_revision_before(tmp_path: Path) -> None:
    revisions = Rule(["revisions"], "not-deployed-9\ncurrent-1\nbefore-2\nbefore-1\n")
    gcloud = StubProgram(tmp_path, "gcloud", [SERVING, revisions])
    done = run("rollback", gcloud=gcloud)
    assert done.returncode == 0, done.stderr
    assert {call[1] for call in asked(gcloud, "update-traffic")} == {"--to-revisions=before-2=100"}


def test_rollback_goes_on_with_the_others_when_one_has_nothing_before(tmp_path: Path) -> None:
    gcloud = StubProgram(tmp_path, "gcloud")
    file = tmp_path / "previous"
    file.write_text("".join(f"{service} {service}-7\n" for service in SERVICES[1:]))
    done = run("rollback", str(file), gcloud=gcloud)
    assert done.returncode != 0
    assert SERVICES[0] in done.stderr
    assert len(asked(gcloud, "update-traffic")) == len(SERVICES) - 1


@pytest.mark.parametrize(
    ("word", "argument"),
    [
        ("on", "--update-env-vars=USE_MOCK_CONTAINER_ADAPTER=true"),
        ("off", "--remove-env-vars=USE_MOCK_CONTAINER_ADAPTER"),
    ],
)
def test_the_mock_adapter_is_set_on_every_function(word: str, argument: str, tmp_path: Path) -> None:
    gcloud = StubProgram(tmp_path, "gcloud")
    assert run("mock-adapter", word, gcloud=gcloud).returncode == 0
    assert asked(gcloud, "update") == [[service, argument] for service in SERVICES]


def test_the_mock_adapter_takes_on_and_off_only(tmp_path: Path) -> None:
    gcloud = StubProgram(tmp_path, "gcloud")
    assert run("mock-adapter", "maybe", gcloud=gcloud).returncode == 2
    assert gcloud.calls() == []


def test_services_are_named_as_terraform_names_them(tmp_path: Path) -> None:
    expression = local_values(PLATFORM)["functions"]
    assert '${var.name}-${replace(name, "_", "-")}' in expression
    gcloud = StubProgram(tmp_path, "gcloud")
    run("mock-adapter", "on", gcloud=gcloud, NAME="other")
    assert all(service.startswith("other-") for service, _ in asked(gcloud, "update"))


def test_verify_asks_for_a_token_of_the_test_client(tmp_path: Path) -> None:
    gcloud = StubProgram(tmp_path, "gcloud", [Rule(["print-identity-token"], code=1)])
    done = run("verify", "https://example.com", gcloud=gcloud, VERIFIER="v@p.iam", AUDIENCE="aud")
    assert done.returncode != 0, "without a token nothing is sent"
    assert gcloud.calls() == [
        [
            *("auth", "print-identity-token", "--impersonate-service-account=v@p.iam"),
            *("--include-email", "--audiences=aud"),
        ]
    ]


@pytest.mark.parametrize("url", ["", "example.com", "file:///etc/passwd"])
def test_verify_takes_a_url(url: str) -> None:
    assert run("verify", url).returncode == 2


def test_verify_fails_where_commands_are_not_executed(tmp_path: Path) -> None:
    """Virtual sessions answer every command with success: verify looks at what commands say."""
    with gateway(tmp_path) as url:
        done = run("verify", url)
    assert done.returncode == 1
    assert "FAILED" in done.stderr
    assert "Traceback" not in done.stderr


def test_verify_fails_where_nobody_serves() -> None:
    done = run("verify", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


async def test_verify_shows_its_token_to_functions_that_check_it(google: Issuer, tmp_path: Path) -> None:
    environment = laptop.base_environment(
        PORT="0",
        SQLITE_PATH=str(tmp_path / "sessions.db"),
        AUTH_MODE="google",
        AUTH_AUDIENCE=AUDIENCE,
        AUTH_KEYS_URL=google.url,
    )
    serve = ["-m", "local.serve", "--laptop"]
    with laptop.process(serve, environment, "session functions: http://", tmp_path / "log") as (_, line):
        url = "http://" + line.partition("http://")[2]
        done = await asyncio.to_thread(run, "verify", url, ID_TOKEN=google.token())
        refused = await asyncio.to_thread(run, "verify", url, ID_TOKEN=google.token(aud="another"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert refused.returncode == 1
    assert "TOKEN_AUDIENCE" in refused.stderr


def test_verify_does_the_main_job_over_http(tmp_path: Path) -> None:
    environment = laptop.base_environment(PORT="0", SQLITE_PATH=str(tmp_path / "sessions.db"))
    serve = ["-m", "local.serve", "--laptop"]
    with laptop.process(serve, environment, "session functions: http://", tmp_path / "log") as (_, line):
        done = run("verify", "http://" + line.partition("http://")[2])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "delete the session: it is deleted" in done.stdout
    assert "All steps gave what they should." in done.stdout
