import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.shelf import MemoryShelf
from device.slot_keeper import SLOTS_FILE, SlotKeeper
from device.slots import MAX_TRIES, Place, Slot, SlotError, Slots, State, boot, confirm, first, install
from tests.device.fake_link import FakeLink

OLD, NEW = "1.0.0", "2.0.0"


def test_a_new_version_is_tried_at_the_next_start_and_kept_once_it_confirmed_itself() -> None:
    installed = install(first(OLD), NEW)
    assert installed.running == Slot(State.CONFIRMED, OLD), "nothing changes under a running device"
    tried = boot(installed)
    assert (tried.active, tried.running) == (Place.B, Slot(State.TRYING, NEW, tries=1))
    assert boot(confirm(tried)).running == Slot(State.CONFIRMED, NEW)


def test_a_version_that_never_confirms_itself_is_left_after_its_last_try_and_not_tried_again() -> None:
    slots = install(first(OLD), NEW)
    for tries in range(1, MAX_TRIES + 1):
        slots = boot(slots)
        assert slots.running == Slot(State.TRYING, NEW, tries)
    back = boot(slots)
    assert back.running == Slot(State.CONFIRMED, OLD)
    assert back.b.state is State.FAILED
    assert boot(back) == back


def test_a_version_on_trial_is_not_the_ground_for_another() -> None:
    with pytest.raises(SlotError, match=r"2\.0\.0 is on trial|2\.0\.0 is not confirmed"):
        install(boot(install(first(OLD), NEW)), "3.0.0")


@given(st.lists(st.sampled_from(["install", "boot", "confirm"]), max_size=40))
def test_whatever_happens_a_confirmed_version_is_there_to_run_or_to_fall_back_to(steps: list[str]) -> None:
    slots = first(OLD)
    for number, step in enumerate(steps):
        try:
            slots = (
                install(slots, f"v{number}") if step == "install" else {"boot": boot, "confirm": confirm}[step](slots)
            )
        except SlotError:
            continue
        assert State.CONFIRMED in {slots.a.state, slots.b.state}
        assert slots.running.state in {State.CONFIRMED, State.TRYING}


def test_no_record_can_be_made_of_a_device_without_a_version_that_works() -> None:
    with pytest.raises(SlotError, match="neither place holds a confirmed version"):
        Slots(Place.A, Slot(State.TRYING, NEW, 1), Slot())
    with pytest.raises(SlotError, match="the running version is failed"):
        Slots(Place.A, Slot(State.FAILED, NEW), Slot(State.CONFIRMED, OLD))


def keeper(shelf: MemoryShelf, told: list[dict[str, object]]) -> SlotKeeper:
    async def at_once(_seconds: float) -> None:
        return

    return SlotKeeper(shelf, version=OLD, sleep=at_once, emit=told.append)


def test_starts_are_counted_over_power_cuts_and_the_way_back_is_told() -> None:
    shelf, told = MemoryShelf(), list[dict[str, object]]()
    keeper(shelf, told).install(NEW)
    versions = [keeper(shelf, told).slots.running.version for _ in range(MAX_TRIES + 2)]
    assert versions == [NEW] * MAX_TRIES + [OLD, OLD]
    assert told == [
        {"event": "firmware_on_trial", "from": OLD, "to": NEW},
        {"event": "firmware_rolled_back", "from": NEW, "to": OLD},
    ]


def test_a_connection_that_holds_confirms_the_version_on_trial() -> None:
    async def connected() -> None:
        await keeper(shelf, told).accompany(FakeLink(lambda _topic, _payload: 0))

    shelf, told = MemoryShelf(), list[dict[str, object]]()
    keeper(shelf, told).install(NEW)
    asyncio.run(connected())
    assert told[-1] == {"event": "firmware_confirmed", "version": NEW}
    assert keeper(shelf, told).slots.running == Slot(State.CONFIRMED, NEW)


def test_a_version_on_trial_that_holds_no_connection_starts_anew() -> None:
    restarts: list[str] = []
    shelf, told = MemoryShelf(), list[dict[str, object]]()
    keeper(shelf, told).install(NEW)
    asyncio.run(keeper(shelf, told).watch_trial(lambda: restarts.append(NEW)))
    assert restarts == [NEW]
    asyncio.run(keeper(MemoryShelf(), told).watch_trial(lambda: restarts.append(OLD)))
    assert restarts == [NEW], "a confirmed version is not on trial"


@pytest.mark.parametrize("damage", [b"", b"{", b'{"active":"a","a":{"state":"trying","version":"x","tries":1}}'])
def test_a_lost_record_means_that_what_runs_works(damage: bytes) -> None:
    shelf = MemoryShelf()
    shelf.write(SLOTS_FILE, damage)
    assert keeper(shelf, []).slots == first(OLD)
