"""Names that Kubernetes takes, against rules stated here once more and otherwise."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core import ids
from shared.core.sessions import names

_LETTERS = string.ascii_lowercase + string.digits
_ALL = string.ascii_letters + string.digits


def is_dns_label(text: str) -> bool:
    """RFC 1123 as Kubernetes has it: at most 63 of a-z, 0-9 and -, no - at either end."""
    return (
        0 < len(text) <= 63
        and set(text) <= set(_LETTERS + "-")
        and not text.startswith("-")
        and not text.endswith("-")
    )


def is_label_value(text: str) -> bool:
    """Empty, or at most 63 of A-Z, a-z, 0-9, - _ and ., the first and last no punctuation."""
    return text == "" or (
        len(text) <= 63 and set(text) <= set(_ALL + "-_.") and text[0] in _ALL and text[-1] in _ALL
    )


def is_label_key(text: str) -> bool:
    """A name as a value, not empty; before it, if at all, a DNS subdomain of at most 253 and one slash."""
    parts = text.split("/")
    if len(parts) > 2 or not parts[-1] or not is_label_value(parts[-1]):
        return False
    if len(parts) == 1:
        return True
    subdomain = parts[0]
    pieces = subdomain.split(".")
    return 0 < len(subdomain) <= 253 and all(
        piece and set(piece) <= set(_LETTERS + "-") and piece[0] != "-" and piece[-1] != "-"
        for piece in pieces
    )


def is_reserved(key: str) -> bool:
    prefix = key.partition("/")[0] if "/" in key else ""
    own = ("kubernetes.io", "k8s.io", "gamgui.io")
    return prefix in own or prefix.endswith(tuple(f".{domain}" for domain in own))


def test_ids_are_dns_labels_and_do_not_repeat() -> None:
    made = [ids.new_session_id() for _ in range(5000)]
    assert len(set(made)) == len(made)
    for session_id in made:
        assert is_dns_label(session_id)
        assert ids.is_session_id(session_id)
        assert is_dns_label(names.pod_name(session_id))
        assert is_label_value(session_id)


def test_ids_are_random_in_every_place_but_the_first() -> None:
    made = [ids.new_session_id() for _ in range(2000)]
    assert {session_id[0] for session_id in made} == {"s"}
    for place in range(1, 17):
        assert len({session_id[place] for session_id in made}) == 32


@given(st.text(max_size=30) | st.from_regex(r"s[a-z2-7]{16}\n?"))
def test_only_ids_are_ids(text: str) -> None:
    expected = len(text) == 17 and text[0] == "s" and set(text[1:]) <= set(string.ascii_lowercase + "234567")
    assert ids.is_session_id(text) is expected


_near = st.text(st.sampled_from("aZ0-_./ \né"), max_size=12)
_keys = st.one_of(
    _near,
    st.text(max_size=8),
    st.builds("{}/{}".format, _near, _near),
    st.builds("{}/{}".format, st.sampled_from(["a.kubernetes.io", "gamgui.io", "xk8s.io", "k8s.io"]), _near),
    st.builds(lambda n, m: "a" * n + "/" + "b" * m, st.integers(250, 256), st.integers(60, 66)),
)
_values = _near | st.text(max_size=8) | st.integers(60, 66).map(lambda length: "a" * length)


@given(_keys, _values)
@example("a/b/c", "")
@example("/a", "")
@example("a/", "")
@example("a.-b/c", "")
@example("a", "b\n")
@example("a\n", "b")
def test_labels_are_taken_exactly_if_kubernetes_takes_them_and_they_are_not_reserved(
    key: str, value: str
) -> None:
    fine = is_label_key(key) and is_label_value(value) and not is_reserved(key)
    fault = names.label_fault({key: value})
    assert (fault is None) is fine, fault


def test_one_bad_label_among_good_ones_is_named() -> None:
    fault = names.label_fault({"good": "x", "bad key": "x"})
    assert fault is not None
    assert "'bad key'" in fault


@given(st.text(st.characters(codec="utf-8"), max_size=400))
def test_what_is_derived_from_an_owner_is_always_a_label_value(owner: str) -> None:
    labels = names.pod_labels(ids.new_session_id(), owner)
    assert all(is_label_value(value) for value in labels.values())
    assert names.owner_hash(owner) == names.owner_hash(owner)
    assert labels[names.OWNER_LABEL] != owner


def test_owners_do_not_share_a_hash() -> None:
    assert names.owner_hash("a@example.com") != names.owner_hash("b@example.com")


@pytest.mark.parametrize("name", ["A", "_", "a1_B", "x" * 256])
def test_names_of_variables(name: str) -> None:
    assert names.env_fault({name: "any\nvalue"}) is None


@pytest.mark.parametrize("name", ["", "1", "a-b", "a=b", "a b", "ä", "x" * 257, "a\n", "a\0"])
def test_what_is_no_name_of_a_variable(name: str) -> None:
    assert names.env_fault({"FINE": "", name: ""}) is not None


def test_a_nul_cannot_be_in_a_variable() -> None:
    assert names.env_fault({"A": "x\0"}) == "the value of 'A' holds a NUL character"
