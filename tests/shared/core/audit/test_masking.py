"""Secrets in audited commands: masked however they are written; what is no secret stays."""

from __future__ import annotations

import json
import shlex
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.audit.masking import MASK, MAX_CHARACTERS, masked, masked_words, shown_command
from shared.core.audit.secret_patterns import (
    ENDINGS,
    HARMLESS,
    LAST,
    LISTING,
    NAMES,
    OPTIONS,
    ORDINARY,
    PARTS,
    QUERY,
    READERS,
    SHAPES,
    TOOLS,
)
from tests.support.growth import loop, seconds
from tests.support.laptop import ROOT

CANARY = "cAnArY7x"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("gam update user bob password X1 firstname Bob", "gam update user bob password *** firstname Bob"),
        ("gam update user bob PASSWORD X1", "gam update user bob PASSWORD ***"),
        ("gam config clientsecret X1 clientid Y", "gam config clientsecret *** clientid Y"),
        ("tool token=X1 other=Y", "tool token=*** other=Y"),
        ("tool --access-token X1 --verbose", "tool --access-token *** --verbose"),
        ("tool --api-key=X1 --verbose", "tool --api-key=*** --verbose"),
        ("curl -H 'Authorization: Bearer X1' u", "curl -H 'Authorization: ***' u"),
        ("sh -c 'GAM_PASSWORD=X1 gam version'", "sh -c 'GAM_PASSWORD=*** gam version'"),
        ("curl -H 'Authorization:X1' u", "curl -H 'Authorization:***' u"),
        ("curl -u x https://me:X1@host/p", "curl -u x https://***@host/p"),
        ("GAM_PASSWORD=X1 gam version", "GAM_PASSWORD=*** gam version"),
        ("gam password 'two words' x", "gam password *** x"),
        ("sh -c 'gam password \"two words\" x'", "sh -c 'gam password *** x'"),
        ('post \'{"password": "X1", "name": "Bob"}\'', 'post \'{"password": "***", "name": "Bob"}\''),
        ("gam create user b Pass_Word X1 notifypassword X1", None),
        ("gam user b sendas c C smtpmsa.username u smtpmsa.password X1 default", None),
        ("gam create resoldcustomer c customer_auth_token X1 email e", None),
        ("gam oauth info showsecret accesstoken X1 idtoken X1 showdetails", None),
        ("tool --pin X1 --verbose", "tool --pin *** --verbose"),
        ("YUBIKEY_PIN=X1 gam version", "YUBIKEY_PIN=*** gam version"),
        ("tool backup-codes: X1 x", "tool backup-codes: *** x"),
        ("git clone https://X1@example.com/a@b", "git clone https://***@example.com/a@b"),
    ],
)
def test_a_secret_is_masked_and_what_stands_around_it_is_kept(command: str, shown: str | None) -> None:
    assert masked(command) == (command.replace("X1", MASK) if shown is None else shown)


@pytest.mark.parametrize(
    "command",
    [
        "gam version",
        "gam info user bob@example.com",
        "gam print users query 'orgName=Sales dept'",
        "gam user bob@example.com print tokens",
        "gam update user bob title secretary department sales",
        "gam update user bob changepassword on",
        "gam print users fields primaryemail",
        "gam user bob@example.com show backupcodes todrive tdshare carol@example.com editor",
        "gam user bob@example.com print verificationcodes delimiter ,",
        "gam create user bob ignorenullpassword firstname Bob logpassword passwords.csv",
        "gam create browsertoken ou /Sales expire 2026-12-01",
        "gam show inboundssocredentials profile x",
        "gam oauth info showsecret showdetails",
        "gam user bob@example.com show tokens clientid X todrive",
        "gam user bob@example.com show token clientid X",
        "gam print tokens usertokencounts todrive",
        "gam user bob@example.com delete tokens clientid X",
        "gam user bob@example.com show applicationspecificpasswords",
        "gam print browsertokens fields token todrive",
        "gam create inboundssoprofile name x changepasswordurl https://example.com/x",
        "gam update user bob passwordstate x setchangepasswordoncreate off notifyonupdate on",
        "rsync --password-file f a b",
        "kubectl get secret NAME -o name",
        "docker run -p 80:80 nginx",
        "cp compass.txt passport.txt bypass.txt passive.txt x",
        "pwd; cd $PWD; ls $OLDPWD",
        "cat <<'EOF'\nit's a line\nEOF",
        "# don't\ngam info domain",
        "echo \"a $(date '+%F') b\" `id` ${HOME} $((1 + 2))",
        "a <b >c 2>&1 | d & e && f || g; (h; i)",
        "gam create project yubikey yubikey_pin yubikey_slot AUTHENTICATION",
        "gam user bob@example.com print drivefileacls query pin otp",
        "gam update user bob sshkeys key ssh-ed25519 endssh",
        "gam info domain; gam print groups members managers",
        "curl https://example.com/?mail=a@example.com",
        "curl https://example.com:8080/a@b?c=d",
        "sh -c 'gam print users | wc -l'",
        "echo it's \"unbalanced",
        'gam create user carol@example.com firstname Carol lastname O"Neil',
        "",
        "  two  spaces\tand\ttabs  ",
    ],
)
def test_a_command_without_secrets_is_shown_as_it_is(command: str) -> None:
    assert masked(command) == command


_ordinary = st.text(string.ascii_letters + string.digits + "@.-_:/=,", min_size=1, max_size=12).filter(
    lambda word: (
        not any(part in word.lower() for part in ("pass", "secret", "token", "key", "cred", "auth"))
        and "bearer" not in word.lower()
        and not any(word.lower().find(name) >= 0 for name in ("pin", "otp", "code", "4/"))
        and "recovery" not in word.lower()
        and "hash" not in word.lower()
        and "://" not in word
        and "eyj" not in word.lower()
        and "1//" not in word
    )
)


@given(st.lists(_ordinary, max_size=8))
def test_ordinary_arguments_are_never_masked(words: list[str]) -> None:
    assert masked(" ".join(words)) == " ".join(words)


_names = st.sampled_from(
    (
        *("password", "Password", "clientsecret", "client_secret", "--token", "access-token", "API_KEY"),
        *("passphrase", "privatekey", "GAM_PASSWORD", "refreshtoken", "credentials", "password1"),
    )
)


def spelled(name: str, before: str, underscores: set[int], *, upper: bool) -> str:
    """One of the ways in which a name can be written."""
    letters = ("_" * (at in underscores) + letter for at, letter in enumerate(name.replace("-", "")))
    written = before + "".join(letters).lstrip("_")
    return written.upper() if upper else written


_tabled = st.builds(
    spelled,
    st.sampled_from(sorted(NAMES)),
    st.sampled_from(["", "--", "my", "GAM_", "x-", "smtpmsa."]),
    st.sets(st.integers(0, 20)),
    upper=st.booleans(),
)
_options = st.builds(
    spelled,
    st.sampled_from(sorted(OPTIONS)),
    st.sampled_from(["--", "-", "--my-", "--x_"]),
    st.sets(st.integers(0, 20)),
    upper=st.booleans(),
)
_secrets = st.text(
    st.sampled_from(string.ascii_letters + string.digits + " '\"\\$!#%&*(){}[]<>|;`~\n\tü"), max_size=12
).map(lambda noise: noise[: len(noise) // 2] + CANARY + noise[len(noise) // 2 :])
_before = st.lists(_ordinary, max_size=4)


@given(_before, _tabled | _options, _secrets, _before)
def test_a_secret_behind_any_name_of_the_tables_never_appears(
    before: list[str], name: str, secret: str, after: list[str]
) -> None:
    for words in (
        [*before, name, secret, *after],
        [*before, f"{name}={secret}", *after],
        [*before, f"{name}:{secret}", *after],
        [*before, name.lstrip("-") + "=" + secret, *after],
    ):
        assert CANARY not in masked(shlex.join(words))
        assert CANARY not in "\0".join(masked_words(words))


@given(st.sampled_from(sorted(HARMLESS)), _before)
def test_no_secret_follows_a_harmless_word(word: str, after: list[str]) -> None:
    command = " ".join(["gam", "create", "x", word, *after])
    assert masked(command) == command
    assert masked_words(command.split()) == command.split()


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_an_ordinary_word_is_followed_by_a_secret_only_as_an_option(name: str) -> None:
    assert masked(f"gam show {name} shown") == f"gam show {name} shown"
    assert masked(f"gam show --{name} hidden") == f"gam show --{name} {MASK}"


def test_what_is_masked_is_written_down() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    for table in (NAMES, PARTS, OPTIONS, QUERY, HARMLESS):
        for name, meaning in table.items():
            assert f"| `{name}` | {meaning} |".replace("|  |", "| |") in text
    for words in (ORDINARY, ENDINGS, *LISTING.values()):
        assert all(f"`{word}`" in text for word in words)
    for tool, options in TOOLS.items():
        for option, value in options.items():
            assert any(
                f"`{tool}`" in line and f"`{option}`" in line and line.endswith(f"| {value} |")
                for line in text.splitlines()
            )
    for table in (LAST, READERS):
        for program, word in table.items():
            assert (f"| `{program}` | `{word}` |" if word else f"| `{program}` | |") in text
    listed = {line.removeprefix("- ").rstrip(";.") for line in text.splitlines() if line.startswith("- ")}
    assert set(SHAPES) <= listed


def in_json(name: str, secret: str) -> str:
    return json.dumps({"user": "bob", name: secret, "last": "x"})


@given(_before, _names, _secrets, _before)
@example([], "password", f"it's {CANARY} '{CANARY}", ["x"])
def test_a_secret_among_words_never_appears(
    before: list[str], name: str, secret: str, after: list[str]
) -> None:
    assert CANARY not in masked(shlex.join([*before, name, secret, *after]))
    assert CANARY not in masked(shlex.join([*before, f"{name}={secret}", *after]))


@given(_before, _names, _secrets)
def test_a_secret_in_a_line_for_a_shell_never_appears(before: list[str], name: str, secret: str) -> None:
    line = shlex.join([*before, name, secret, "last"])
    for _ in range(3):
        line = shlex.join(["sh", "-c", line])
        assert CANARY not in masked(line)


@given(_before, st.sampled_from(["password", "client_secret", "refresh_token", "private_key"]), _secrets)
def test_a_secret_in_json_never_appears(before: list[str], name: str, secret: str) -> None:
    for text in (in_json(name, secret), json.dumps({name: secret}, separators=(",", ":"))):
        assert CANARY not in masked(shlex.join([*before, "--data", text]))


@pytest.mark.parametrize("scheme", ["Bearer", "basic", "Negotiate"])
def test_a_secret_in_a_header_never_appears(scheme: str) -> None:
    for header in (f"Authorization: {scheme} {CANARY}", f"authorization:{scheme} {CANARY}"):
        assert CANARY not in masked(shlex.join(["curl", "-H", header, "u"]))
        assert CANARY not in masked(f"curl -H {header} u")


@pytest.mark.parametrize(
    "secret",
    [
        f"ya29.{CANARY}",
        f"GOCSPX-{CANARY}",
        f"1//{CANARY * 4}",
        f"AIza{CANARY * 5}",
        f"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.{CANARY}",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}",
        f"https://user:{CANARY}@host/",
    ],
)
def test_a_secret_of_a_known_shape_never_appears_whatever_stands_before_it(secret: str) -> None:
    assert CANARY not in masked(shlex.join(["gam", "x", secret, "y"]))


def test_quotes_that_do_not_match_hide_all_behind_a_name() -> None:
    assert masked(f'gam password "{CANARY} {CANARY}') == f"gam password {MASK}"
    assert CANARY not in masked(f"echo it's; gam password {CANARY} {CANARY}")


@given(st.text())
def test_any_text_can_be_masked_and_what_comes_out_is_bounded(text: str) -> None:
    assert len(masked(text)) <= MAX_CHARACTERS
    assert len(masked(f"password {text}" * 50)) <= MAX_CHARACTERS


_PARTS = (
    *("-", "password", "password ", "password=", "\\", '"', "'", '\\"', "://", "://:", "eyJ.", "bearer "),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN " + "A" * 100, "'\"'\"'", "sh -c '", "1//", "a" * 100),
    *("p_", "pin_", "pass_wor_", "://a", "otp-", "pin=", "_", "backup_codes "),
)


@pytest.mark.parametrize("part", _PARTS)
def test_masking_a_mebibyte_takes_no_time_that_others_would_notice(part: str) -> None:
    text = part * (1024 * 1024 // len(part))
    assert seconds(lambda: masked(text), 20) <= 8 * seconds(lambda: loop(text), 20)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["gam", "info", "user", "a b", "", "it's"], ["gam", "info", "user", "a b", "", "it's"]),
        (["gam", "update", "user", "bob", "password", "X 1", "org", "/"], None),
        (["tool", "--token=X1", "token", "=", "X1", "next"], None),
        (["sh", "-c", "gam update user bob password X1; echo 'done'"], None),
        (["curl", "-H", "Authorization: Bearer X1", "u"], None),
    ],
)
def test_words_stay_apart_and_only_the_secret_ones_change(words: list[str], shown: list[str] | None) -> None:
    found = masked_words(words)
    assert len(found) == len(words)
    if shown is not None:
        assert found == shown
    else:
        assert "X1" not in "\0".join(found)
        assert "X 1" not in found
        assert MASK in "\0".join(found)
        assert [word for word in found if MASK not in word] == [
            word for word, now in zip(words, found, strict=True) if MASK not in now
        ]


@pytest.mark.parametrize(
    ("command", "lacks"),
    [
        ("gam version", (False, False)),
        ("gam user bob password X1", (True, False)),
        ("gam " + "x" * 100_000, (False, True)),
        ("gam password X1 " + "x" * 100_000, (True, True)),
        (["gam", "version"], (False, False)),
        (["gam", "password", "X1"], (True, False)),
        (["mkpasswd", "X1"], (True, False)),
        (["gam", "x" * (MAX_CHARACTERS + 1)], (False, True)),
        (["gam", "x" * 100_000], (False, True)),
        (["x"] * 10_000, (False, True)),
        (["password", "X1"] + ["x"] * 10_000, (True, True)),
    ],
)
def test_what_a_shown_command_lacks_is_told(command: str | list[str], lacks: tuple[bool, bool]) -> None:
    shown = shown_command(command)
    assert (shown.masked, shown.truncated) == lacks
    assert shown.command == (masked(command) if isinstance(command, str) else tuple(masked_words(command)))


def test_long_words_are_cut() -> None:
    assert [len(word) for word in masked_words(["x" * 100_000, "password", "y" * 9000])] == [
        MAX_CHARACTERS,
        8,
        len(MASK),
    ]
