"""When and how much a station may sign."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from provisioning.errors import RefusedError
from provisioning.factory_file import Lease
from provisioning.lease import check_lease, lease_period, left_of

BEGINS, ENDS = date(2026, 12, 1), date(2027, 2, 28)
FIRST, LAST = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 2, 28, 23, 59, 59, tzinfo=UTC)


def lease(from_hour: int = 0, to_hour: int = 24) -> Lease:
    return Lease(begins=BEGINS, ends=ENDS, certificates=100, from_hour=from_hour, to_hour=to_hour)


@pytest.mark.parametrize("now", [FIRST, LAST, datetime(2027, 1, 1, 3, 4, tzinfo=UTC)])
def test_a_station_signs_from_the_first_to_the_last_second_of_its_lease(now: datetime) -> None:
    check_lease("night-1", lease(), now=now)
    assert lease_period(lease()) == (FIRST, LAST)


@pytest.mark.parametrize("now", [FIRST - timedelta(seconds=1), LAST + timedelta(seconds=1)])
def test_outside_its_lease_a_station_signs_nothing(now: datetime) -> None:
    with pytest.raises(RefusedError, match="may sign from 2026-12-01 to 2027-02-28, and it is"):
        check_lease("night-1", lease(), now=now)


@pytest.mark.parametrize(
    ("from_hour", "to_hour", "open_hours"),
    [(6, 22, range(6, 22)), (22, 6, (22, 23, *range(6))), (0, 24, range(24)), (23, 24, (23,)), (0, 1, (0,))],
)
def test_a_station_signs_in_its_hours_only_a_night_shift_goes_over_midnight(
    from_hour: int, to_hour: int, open_hours: range
) -> None:
    signs = []
    for hour in range(24):
        try:
            check_lease("night-1", lease(from_hour, to_hour), now=FIRST + timedelta(hours=hour))
        except RefusedError:
            continue
        signs.append(hour)
    assert signs == sorted(open_hours)


def test_the_hours_of_a_lease_are_those_of_utc_wherever_the_station_is() -> None:
    tallinn = timezone(timedelta(hours=2))
    check_lease("night-1", lease(6, 7), now=datetime(2026, 12, 1, 8, 30, tzinfo=tallinn))
    with pytest.raises(RefusedError, match="signs from 6 to 7 o'clock UTC, and it is 04:30; wait"):
        check_lease("night-1", lease(6, 7), now=datetime(2026, 12, 1, 6, 30, tzinfo=tallinn))


def test_a_lease_gives_as_many_as_it_says_and_not_one_more() -> None:
    assert [left_of(lease(), issued) for issued in (0, 99, 100, 101)] == [100, 1, 0, 0]
