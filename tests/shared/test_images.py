"""The operator's list of images: what it may say, and that it lets through nothing but that."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigurationError
from shared.images import entry_fault, is_listed, is_reference
from shared.settings import Settings

DIGEST = "sha256:" + "0123456789abcdef" * 4
TABLE = [
    ("reg/a:1", "reg/a:1", True),
    ("reg/a:1", "reg/a:11", False),
    ("reg/a:1", "reg/a", False),
    ("reg/a", "reg/a:1", False),
    ("reg/*", "reg/a/b:2", True),
    ("reg/*", f"reg/a@{DIGEST}", True),
    ("reg/*", "reg", False),
    ("reg/*", "reg/", False),
    ("reg/*", "reg.evil/a", False),
    ("reg/*", "reg-evil/a", False),
    ("reg/*", "reg:5000/a", False),
    ("reg/*", "evil/reg/a", False),
    ("reg/a/*", "reg/a/../b", False),
    ("reg/a/*", "reg/a/./b", False),
    ("reg/a/*", "reg/a//b", False),
    ("reg/a/*", "reg/a/B", False),
    ("reg/a/*", "REG/a/b", False),
    ("reg/a/*", "reg/a/b ", False),
    ("reg/a/*", "reg/a/b\n", False),
    ("reg/a:*", "reg/a:9", True),
    ("reg/a:*", "reg/a:V1.0_x", True),
    ("reg/a:*", f"reg/a:9@{DIGEST}", True),
    ("reg/a:*", f"reg/a@{DIGEST}", False),
    ("reg/a:*", "reg/a", False),
    ("reg/a:*", "reg/a:", False),
    ("reg/a:*", "reg/a:9/b", False),
    ("reg/a:*", "reg/ab:9", False),
    ("reg:*", "reg:9", True),
    ("reg:*", "reg:5000/evil", False),
    ("reg:*", "reg:5000/evil:9", False),
    ("reg:5000/*", "reg:5000/a:1", True),
    ("reg:5000/*", "reg:50001/a:1", False),
    ("reg/a@*", f"reg/a@{DIGEST}", True),
    ("reg/a@*", "reg/a@sha256:12", False),
    ("reg/a@*", f"reg/a:1@{DIGEST}", False),
    ("reg/a:1@*", f"reg/a:1@{DIGEST}", True),
    ("reg/a@sha256:*", f"reg/a@{DIGEST}", True),
    ("reg/a@sha256:*", f"reg/a@sha512:{'0' * 128}", False),
]


@pytest.mark.parametrize(("entry", "image", "listed"), TABLE)
def test_an_entry_lists_what_the_grammar_says_and_no_other_repository(
    entry: str, image: str, listed: bool
) -> None:
    assert entry_fault(entry) is None
    assert is_listed(image, [entry]) is listed
    assert is_listed(image, ["other/x:1", entry]) is listed
    assert not is_listed(image, [])


@pytest.mark.parametrize(
    "entry",
    [
        *("*", "reg*", "reg/a*", "reg/a-*", "reg/a.*", "reg/a:1*", "r*g/a", "*/a", "reg/**", "reg/*/a"),
        *("reg/*:1", "/*", ":*", "@*", "reg//*", "reg/../*", "reg/A/*", "reg/A", "reg/a:", "reg/a@sha256"),
        "reg:1:*",
    ],
)
def test_any_other_entry_is_an_error_that_names_it(entry: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({"AUTH_MODE": "dev", "ALLOWED_IMAGES": f"reg/a:1,{entry},reg/b:1"})
    assert repr(entry) in caught.value.detail
    assert caught.value.fields == {"variable": "ALLOWED_IMAGES"}


_pieces = st.sampled_from(["a", "b", "A", "1", "5000", ".", "..", "-", "_", "/", ":", "@", DIGEST, "*", " "])
_texts = st.lists(_pieces, min_size=1, max_size=9).map("".join)


def parts_of(image: str) -> tuple[str, str, str]:
    """Name, tag and digest, found in another way than by one pattern."""
    name, _, digest = image.partition("@")
    last = name.rpartition("/")[2]
    tag = last.partition(":")[2]
    return name.removesuffix(f":{tag}") if tag else name, tag, digest


@given(entry=_texts, image=_texts)
def test_what_is_listed_is_in_the_repository_that_the_entry_names(entry: str, image: str) -> None:
    if entry_fault(entry) is not None or not is_listed(image, [entry]):
        return
    name, tag, digest = parts_of(image)
    assert not re.search(r"\.\.|//|\s", image)
    assert name.lower() == name or "/" in name
    if not entry.endswith("*"):
        assert image == entry
        return
    beginning = entry[:-1]
    if beginning.endswith("/"):
        assert name.startswith(beginning)
    elif beginning.endswith("@"):
        assert digest and image.partition("@")[0] + "@" == beginning
    elif "@" in beginning:
        assert digest.startswith(beginning.partition("@")[2])
    else:
        assert tag and name + ":" == beginning


@given(image=_texts, entry=_texts)
def test_no_text_is_too_odd_to_be_judged(image: str, entry: str) -> None:
    assert is_reference(image) in (True, False)
    assert is_listed(image, [image]) is is_reference(image)
    fault = entry_fault(entry)
    assert (fault is None) >= is_reference(entry)
