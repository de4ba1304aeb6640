"""The whole device put together from its folder: bundle, durable buffer, the documents that outlive a restart."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from cryptography import x509

from device.agent import FIRMWARE, Agent
from device.buffer.buffer import Buffer
from device.buffer.capacity import Capacity
from device.clock_quality import clock_quality, kernel_is_synchronized
from device.configuration import Configuration
from device.configuration_keeper import ConfigurationKeeper
from device.demo_source import sample, signal_strength
from device.exchange import Exchange
from device.jobs.configure import Configure
from device.jobs.jobs import Jobs
from device.jobs.journal import Journal
from device.jobs.move import Move
from device.jobs.reboot import Reboot
from device.resolution import HostPort
from device.settings import Settings
from device.shadow import Shadow
from device.shelf import FolderShelf
from device.slot_keeper import SlotKeeper
from device.surroundings import Emit, Radio, Source, Surroundings, real_surroundings
from protocol.buffer_room import BUFFER_BYTES
from protocol.bundle import read_bundle
from protocol.measurement import ClockQuality

BUFFER_FOLDER = "buffer"


def assemble(
    folder: Path,
    settings: Settings,
    surroundings: Surroundings,
    *,
    emit: Emit,
    source: Source = sample,
    buffer_bytes: int = BUFFER_BYTES,
) -> Agent:
    """The device whose bundle is in `folder`; `OSError` or `pydantic.ValidationError` when there is none.

    Its rows and documents live there too, so that the next start goes on where this one ended, however that was.
    """
    bundle = read_bundle(folder)
    rows = folder / BUFFER_FOLDER
    # On flash that takes nothing rows wait in memory, and the buffer says so.
    with suppress(OSError):
        rows.mkdir(exist_ok=True)
    shelf = FolderShelf(folder)
    keeper = ConfigurationKeeper(shelf, bundle.batch_window)
    buffer = Buffer(
        rows,
        Capacity.of_bytes(buffer_bytes),
        now=surroundings.clock(),
        monotonic=surroundings.monotonic,
        random_bits=secrets.randbits,
        emit=emit,
        times_to_live=keeper.current.time_to_live_seconds.by_priority,
    )
    slots = SlotKeeper(shelf, version=FIRMWARE, sleep=surroundings.sleep, emit=emit)
    agent = Agent(
        bundle=bundle,
        settings=settings,
        surroundings=surroundings,
        store=buffer,
        shelf=shelf,
        source=source,
        emit=emit,
        configuration=keeper.current,
        firmware=slots.slots.running.version,
        radio=lambda moment: Radio(settings.operator, signal_strength(moment)),
    )
    keeper.listen(lambda: _configure(agent, buffer, keeper.current))
    agent.companions += [_jobs_client(agent, keeper), _shadow(agent, keeper), slots]
    return agent


def _configure(agent: Agent, buffer: Buffer, configuration: Configuration) -> None:
    agent.sampler.configure(configuration)
    buffer.times_to_live = configuration.time_to_live_seconds.by_priority


def _jobs_client(agent: Agent, keeper: ConfigurationKeeper) -> Jobs:
    boot = agent.state.boot_count
    return Jobs(
        device=agent.bundle.device_id,
        boot=boot,
        journal=Journal(agent.shelf),
        handlers={
            "configure": Configure(keeper),
            "move": Move(agent.summon),
            "reboot": Reboot(boot=boot, restart=agent.restart),
        },
        exchange=Exchange(secrets.token_hex),
        emit=agent.emit,
    )


def _shadow(agent: Agent, keeper: ConfigurationKeeper) -> Shadow:
    return Shadow(device=agent.bundle.device_id, keeper=keeper, exchange=Exchange(secrets.token_hex), emit=agent.emit)


def surroundings_of(settings: Settings, *, clock: Callable[[], datetime], resolver: HostPort | None) -> Surroundings:
    """The machine's, and a clock that is not believed before the day the device's own certificate was made."""
    certificate = x509.load_pem_x509_certificates(settings.credentials.chain.read_bytes())[0]
    quality: Callable[[], ClockQuality] = partial(
        clock_quality,
        clock=clock,
        not_before=certificate.not_valid_before_utc,
        is_synchronized=kernel_is_synchronized,
    )
    return real_surroundings(resolver=resolver, clock=clock, clock_quality=quality)
