"""Plans of all shapes, for the tests that read, pack or apply them."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from fleet.routing.plan import PLAN_VERSION, Change, Header
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Kind
from fleet.routing.target import DEFAULT, Target
from protocol.device_id import DeviceId

DOMAIN = "iot.example.com"
TEXTS = st.text(max_size=30)
TIMES = st.datetimes(timezones=st.just(UTC))
DEVICES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).map(DeviceId)
TARGETS = st.one_of(
    st.just(DEFAULT),
    st.sampled_from(["eu1", "eu2", "us1"]).map(lambda name: Target(cluster=name)),
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(lambda address: Target.parse(str(address))),
)


def header(**changed: object) -> Header:
    values: dict[str, object] = {
        "version": PLAN_VERSION,
        "environment": "dev",
        "domain": DOMAIN,
        "zone_id": "Z0123456789ABC",
        "route_table": "flotilla-dev-routes",
        "clusters": {"eu1": f"eu1.clusters.{DOMAIN}", "us1": f"us1.clusters.{DOMAIN}"},
        "made_by": "operator",
        "made_at": datetime(2026, 5, 4, 12, 0, tzinfo=UTC),
        "request": "--device device1 --to us1",
        "approved_by": "",
        "undoes": "",
    }
    return Header(**(values | changed))  # type: ignore[arg-type]


def change(
    device: str, before: Target = DEFAULT, after: Target = DEFAULT, revision: int = 1, *, domain: str = DOMAIN
) -> Change:
    """As the planner makes it: what goes and what comes are the projections."""
    removes, creates = (project(DeviceId(device), each, domain) for each in (before, after))
    return Change(
        device=DeviceId(device),
        revision=revision,
        before=before,
        after=after,
        removes=(removes,) if removes else (),
        creates=(creates,) if creates else (),
        kind=Kind.MOVE,
        owner="operations",
        reason="a test",
        expires=None,
        returns_to=DEFAULT,
    )


RECORD_SETS = st.builds(
    RecordSet,
    name=st.text(min_size=1, max_size=20),
    type=st.sampled_from(["A", "AAAA", "CNAME", "TXT"]),
    ttl=st.integers(0, 86_400),
    values=st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3).map(tuple),
)
HEADERS = st.builds(
    Header,
    version=st.just(PLAN_VERSION),
    environment=TEXTS,
    domain=TEXTS,
    zone_id=TEXTS,
    route_table=TEXTS,
    clusters=st.dictionaries(TEXTS, TEXTS, max_size=3),
    made_by=TEXTS,
    made_at=TIMES,
    request=TEXTS,
    approved_by=TEXTS,
    undoes=TEXTS,
)
CHANGES = st.lists(
    st.builds(
        Change,
        device=DEVICES,
        revision=st.integers(1, 10**9),
        before=TARGETS,
        after=TARGETS,
        removes=st.lists(RECORD_SETS, max_size=2).map(tuple),
        creates=st.lists(RECORD_SETS, max_size=2).map(tuple),
        kind=st.sampled_from(Kind),
        owner=TEXTS,
        reason=TEXTS,
        expires=st.none() | TIMES,
        returns_to=TARGETS,
    ),
    unique_by=lambda change: change.device,
    max_size=6,
).map(lambda changes: tuple(sorted(changes, key=lambda change: change.device)))
"""Sorted by device, each device once; beyond that anything that its types allow."""
