"""Subscribes to what every device sends to a broker of the simulator's own, and keeps count of it.

At QoS 0 and without TLS: a recorder that acknowledged nothing leaves nothing unread behind when the broker is killed,
so that the kernel still delivers what the broker had passed on before it acknowledged it to a device.
"""

import asyncio
from contextlib import suppress

import mqtt5

from device.resolution import HostPort
from device.simulator.arrivals import Arrivals
from protocol.topics import BATCH_FILTER

RETRY_SECONDS = 0.05
"""Between two tries to reach a broker that is down; a device that is back before its recorder is not heard."""
READ_BYTES = 256 * 1024


class Recorder:
    """One subscription, for as long as it is not cancelled."""

    def __init__(self, broker: HostPort, arrivals: Arrivals) -> None:
        self.broker, self.arrivals = broker, arrivals
        self.listens = asyncio.Event()
        """Set while the subscription stands."""

    async def run(self) -> None:
        """Listen; again whenever the broker went away."""
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._listen()
            self.listens.clear()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        reader, writer = await asyncio.open_connection(self.broker.host, self.broker.port)
        try:
            writer.write(mqtt5.ConnectPacket("recorder", clean_start=True).write())
            wanted = mqtt5.TopicFilter(BATCH_FILTER, max_qos=mqtt5.QoS.AT_MOST_ONCE)
            writer.write(mqtt5.SubscribePacket(1, [wanted]).write())
            held = b""
            while data := await reader.read(READ_BYTES):
                held = self._take(held + data)
        finally:
            writer.close()

    def _take(self, data: bytes) -> bytes:
        """Every whole packet in `data`; what is left."""
        view, done = memoryview(data), 0
        while done < len(data):
            try:
                packet, size = mqtt5.read(view[done:])
            except IndexError:
                break
            done += size
            if isinstance(packet, mqtt5.PublishPacket):
                self.arrivals.take(packet.payload)
            elif isinstance(packet, mqtt5.SubAckPacket):
                self.listens.set()
        return data[done:]
