"""Which cluster it is, whatever of it may be read now, and whatever could be read when a session was made."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.clusters.model import ClusterIdentity, KnownConnection, Sight
from tests.shared.store.samples import NOON


def identity(text: str) -> ClusterIdentity:
    """``V/U``: the uid of kube-system, and that of the namespace; a minus is one that may not be read."""
    kube_system, namespace = (part.strip("-") for part in text.split("/"))
    return ClusterIdentity(kube_system=kube_system, namespace=namespace)


@pytest.mark.parametrize(
    ("now", "recorded", "met", "sight"),
    [
        ("V/U", "kube-system:V", "", "here"),
        ("V/U", "kube-system:W", "", "elsewhere"),
        ("V/U", "namespace:U", "", "here"),
        ("V/U", "namespace:X", "", "elsewhere"),
        ("V/U", "", "", "unknown"),
        ("V/U", "somehow:V", "", "unknown"),
        ("V/U", "V", "", "unknown"),
        # Neither may be read: nothing is judged.
        ("-/-", "kube-system:V", "", "unknown"),
        ("-/-", "namespace:U", "V/U", "unknown"),
        # A right was given since the session was made, or taken away.
        ("V/-", "namespace:U", "", "unknown"),
        ("V/-", "namespace:U", "V/U", "here"),
        ("V/-", "namespace:U", "-/U V/U", "here"),
        ("V/-", "namespace:U", "W/U", "elsewhere"),
        ("-/U", "kube-system:V", "", "unknown"),
        ("-/U", "kube-system:V", "V/U", "here"),
        ("-/U", "kube-system:W", "V/U", "elsewhere"),
        ("-/X", "namespace:U", "", "elsewhere"),
        # The namespace was made anew in the same cluster.
        ("V/U2", "namespace:U1", "V/U1", "here"),
        ("-/U2", "namespace:U1", "V/U1 V/U2", "here"),
        ("V/-", "namespace:U2", "V/U1", "unknown"),
        # What was met of other clusters by the same connection links nothing.
        ("V/U", "kube-system:W", "W/X V/U", "elsewhere"),
        ("-/-", "", "W/X V/U", "unknown"),
    ],
)
def test_a_recorded_cluster_is_compared_with_what_may_be_read_now(
    now: str, recorded: str, met: str, sight: str
) -> None:
    assert identity(now).sight(recorded, map(identity, met.split())) is Sight(sight)


_CLUSTERS = st.sampled_from(["A", "B", "C"])
_RIGHTS = st.tuples(st.booleans(), st.booleans())


def read(cluster: str, rights: tuple[bool, bool], generation: int = 0) -> ClusterIdentity:
    """What may be read of a cluster, whose namespace may have been made anew."""
    return ClusterIdentity(
        kube_system=cluster if rights[0] else "", namespace=f"ns-{cluster}-{generation}" if rights[1] else ""
    )


@given(
    made_on=_CLUSTERS,
    made_with=_RIGHTS,
    seen=_CLUSTERS,
    seen_with=_RIGHTS,
    met=st.lists(st.tuples(_CLUSTERS, _RIGHTS), max_size=6),
)
def test_no_cluster_is_ever_taken_for_another_one_and_no_right_makes_sessions_foreign(
    made_on: str,
    made_with: tuple[bool, bool],
    seen: str,
    seen_with: tuple[bool, bool],
    met: list[tuple[str, tuple[bool, bool]]],
) -> None:
    recorded, now = read(made_on, made_with).text, read(seen, seen_with)
    sight = now.sight(recorded, [read(*one) for one in met])
    assert sight is not (Sight.ELSEWHERE if made_on == seen else Sight.HERE)
    if any(made_with) and any(seen_with) and (seen, (True, True)) in met and (made_on, (True, True)) in met:
        assert sight is (Sight.HERE if made_on == seen else Sight.ELSEWHERE)


@given(st.lists(_RIGHTS, max_size=5), _RIGHTS, st.integers(0, 3), st.integers(0, 3))
def test_a_namespace_that_was_made_anew_is_no_other_cluster_where_kube_system_is_known(
    met: list[tuple[bool, bool]], made_with: tuple[bool, bool], before: int, after: int
) -> None:
    made = read("A", made_with, before)
    known = [made, *(read("A", (True, namespace), before) for _, namespace in met)]
    if made_with[0]:
        assert read("A", (True, True), after).sight(made.text, known) is Sight.HERE


def test_a_connection_remembers_what_it_has_met_and_not_without_bound() -> None:
    known = KnownConnection(id="default", cluster="x", met=(), met_at=NOON)
    for number in range(100):
        at = NOON + timedelta(minutes=number)
        known = known.meeting("y", ClusterIdentity(kube_system=str(number)), at)
    assert (known.met[0].kube_system, known.cluster, len(known.met)) == ("99", "y", 32)
    again = known.meeting("y", known.met[5], NOON)
    assert (again.met[0], len(again.met)) == (known.met[5], 32)
