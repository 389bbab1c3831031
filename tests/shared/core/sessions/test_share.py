"""What one owner's sessions may have of a cluster together."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.clusters.model import DEFAULT, VIRTUAL
from shared.core.sessions.model import Resources, Session
from shared.core.sessions.share import OwnerShare
from shared.errors import TooManyRequests
from shared.quantities import quantity
from tests.shared.store.samples import a_session

GIB = 1024**3
SHARE = OwnerShare(cpu=Decimal(4), memory=Decimal(8 * GIB), disk=Decimal(40 * GIB), disk_of_session=10 * GIB)

cpus = st.sampled_from(["100m", "0.25", "500m", "1", "1.5", "2"])
memories = st.sampled_from(["128Mi", "0.5Gi", "1Gi", "1G", "4Gi"])
disks = st.sampled_from([None, 0, GIB, 10 * GIB, 15 * GIB])
places = st.sampled_from(
    [
        (DEFAULT, "kube-system:a"),
        (DEFAULT, "kube-system:b"),
        (DEFAULT, "namespace:a"),
        (DEFAULT, ""),
        (VIRTUAL, ""),
        ("", ""),
    ]
)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    connection, identity = draw(places)
    return a_session(
        resources=Resources(cpu=draw(cpus), memory=draw(memories)),
        disk_bytes=draw(disks),
        connection=connection,
        cluster_identity=identity,
        virtual=connection == VIRTUAL,
    )


def admitted(session: Session, others: list[Session], share: OwnerShare = SHARE) -> str:
    """The resource for which there is no room; empty: it is admitted."""
    try:
        share.require_room(session, others)
    except TooManyRequests as error:
        assert (error.reason, error.status) == ("OWNER_SHARE_EXCEEDED", 429)
        assert error.retry_after_seconds is not None
        assert Decimal(str(error.fields["used"])) + Decimal(str(error.fields["asked"])) > Decimal(
            str(error.fields["limit"])
        )
        return str(error.fields["resource"])
    return ""


@given(st.lists(sessions(), max_size=40))
def test_no_cluster_ever_has_more_of_an_owner_than_his_share(asked: list[Session]) -> None:
    live: list[Session] = []
    for session in asked:
        if not admitted(session, live):
            live.append(session)
    for place in {(one.connection_id, one.cluster_identity) for one in live}:
        here = [one for one in live if (one.connection_id, one.cluster_identity) == place]
        assert sum(quantity(one.resources.cpu) for one in here) <= SHARE.cpu
        assert sum(quantity(one.resources.memory) for one in here) <= SHARE.memory
        own = [SHARE.disk_of_session if one.disk_bytes is None else one.disk_bytes for one in here]
        assert sum(own) <= SHARE.disk


@given(st.lists(sessions(), max_size=8), sessions())
def test_who_is_refused_would_have_had_too_much_where_he_may_be(others: list[Session], new: Session) -> None:
    refused = admitted(new, others)
    alone = [one for one in others if one.connection_id == new.connection_id]
    everything = [new, *others]
    totals = {
        "cpu": sum(quantity(one.resources.cpu) for one in everything),
        "memory": sum(quantity(one.resources.memory) for one in everything),
        "disk": Decimal(sum(10 * GIB if one.disk_bytes is None else one.disk_bytes for one in everything)),
    }
    if refused:
        assert totals[refused] > getattr(SHARE, refused)
    if not alone and not any(one.cluster_identity == new.cluster_identity != "" for one in others):
        assert refused == admitted(new, [])


@pytest.mark.parametrize(
    ("resources", "disk", "short"),
    [
        (Resources(cpu="2001m", memory="1Gi"), 0, "cpu"),
        (Resources(cpu="1", memory="7.1Gi"), 0, "memory"),
        (Resources(cpu="1", memory="1Gi"), 31 * GIB, "disk"),
        (Resources(cpu="2", memory="7Gi"), 30 * GIB, ""),
    ],
)
def test_each_of_the_three_is_bounded_to_its_last_unit(resources: Resources, disk: int, short: str) -> None:
    other = a_session(resources=Resources(cpu="2", memory="1Gi"), disk_bytes=10 * GIB)
    new = a_session(resources=resources, disk_bytes=disk)
    assert admitted(new, [other]) == short


def test_a_session_of_an_earlier_release_counts_by_its_resources() -> None:
    old = a_session(resources=Resources(cpu="3", memory="1Gi"), connection="", cluster_identity="")
    assert old.disk_bytes is None
    assert admitted(a_session(resources=Resources(cpu="2", memory="1Gi"), disk_bytes=0), [old]) == "cpu"
    assert admitted(a_session(disk_bytes=31 * GIB), [old]) == "disk"
    elsewhere = dataclasses.replace(old, connection=VIRTUAL)
    assert admitted(a_session(resources=Resources(cpu="2", memory="1Gi"), disk_bytes=0), [elsewhere]) == ""
