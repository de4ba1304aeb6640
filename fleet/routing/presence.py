"""What a cluster knows of who is connected to it, and the two ways to end a connection there.

`IotPresence` asks AWS IoT of one region: its fleet index, which the program has switched on for connectivity. What it
says is late and not always in order: AWS makes presence from lifecycle events, which may come twice, swapped, or up to
two minutes off, and whose version number starts anew after an hour offline. So nothing here counts events or compares
version numbers: a sighting carries when its connection began, by AWS's clock, and whoever reads two of them believes
the later one. A device connects under its own id, so a client id is a thing name and a device id in one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from fleet.errors import UnfinishedError
from protocol.device_id import DeviceId

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient
    from mypy_boto3_iot_data import IoTDataPlaneClient

PRESENCE_LAG = timedelta(minutes=2)
"""How late or early presence may be (AWS IoT developer guide, "Lifecycle events": about two minutes)."""
SEARCHES_PER_SECOND = 8
"""SearchIndex requests we make in one region. AWS IoT Device Management's quota for them is adjustable and read in
Service Quotas; 90 a second were refused in the field, the default is in the tens, and dashboards share it."""
MAX_ASKED_ONE_BY_ONE = 50
"""Devices looked up by a search each; from here on the region's list is cheaper than 7 s of single searches."""
SEARCH_PAGE = 100
"""Things in one answer of SearchIndex, at most (its API reference)."""
EVERYTHING = "thingName:*"
CONNECTED = "connectivity.connected:true"
NOT_CONNECTED = "ResourceNotFoundException"
"""DeleteConnection: there is no such connection."""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What one cluster last knew of one device. Times are UTC, by the cluster's clock."""

    cluster: str
    connected: bool
    since: datetime
    """When that connection began, or, without one, when the last one ended."""


class Presence(Protocol):
    """One cluster's view. Methods raise `fleet.errors.UnfinishedError` when the cluster cannot be asked."""

    def look(self, devices: Collection[DeviceId], *, only_connected: bool) -> dict[DeviceId, Sighting]:
        """What is known of these devices; those that never connected here are left out.

        `only_connected` allows leaving out those that are not connected now, which is cheaper for many.
        """

    def drop(self, device: DeviceId) -> bool:
        """Close the device's connection, and keep its session: it may come back for what waits there.

        Whether there was a connection to close.
        """

    def end_session(self, device: DeviceId) -> None:
        """Forget subscriptions and queued messages of a device that has left. Harmless when there is nothing."""


@dataclass(frozen=True, kw_only=True)
class IotPresence:
    """AWS IoT of a cluster's region."""

    cluster: str
    iot: "IoTClient"
    iot_data: "IoTDataPlaneClient"
    wait_turn: Callable[[], None]
    """Called before each search; comes back when `SEARCHES_PER_SECOND` allows it."""

    def look(self, devices: Collection[DeviceId], *, only_connected: bool) -> dict[DeviceId, Sighting]:
        """What the fleet index says of these devices."""
        found: Iterable[dict[str, Any]]
        if len(devices) <= MAX_ASKED_ONE_BY_ONE:
            found = (thing for device in devices for thing in self._search(f'thingName:"{device}"'))
        else:
            found = self._search(CONNECTED if only_connected else EVERYTHING)
        wanted = frozenset(devices)
        sightings = ((thing.get("thingName", ""), self._sighting(thing)) for thing in found)
        return {DeviceId(name): seen for name, seen in sightings if seen is not None and name in wanted}

    def drop(self, device: DeviceId) -> bool:
        """DeleteConnection, keeping the session."""
        return self._delete_connection(device, clean_session=False)

    def end_session(self, device: DeviceId) -> None:
        """DeleteConnection with the session.

        AWS answers `ResourceNotFoundException` where it finds no connection; what session is left then ends by itself,
        an hour after the connection by default (AWS IoT quota "persistent session expiry period").
        """
        self._delete_connection(device, clean_session=True)

    def _search(self, query: str) -> Iterator[dict[str, Any]]:
        token: str | None = None
        while True:
            self.wait_turn()
            try:
                page = self.iot.search_index(
                    queryString=query, maxResults=SEARCH_PAGE, **({"nextToken": token} if token else {})
                )
            except (ClientError, BotoCoreError) as error:
                raise UnfinishedError(f"{self.cluster}: the fleet index cannot be asked: {error}") from error
            yield from (dict(thing) for thing in page.get("things", []))
            token = page.get("nextToken")
            if not token:
                return

    def _sighting(self, thing: dict[str, Any]) -> Sighting | None:
        """What a thing's document says; nothing for one that never connected, which has no time."""
        connectivity = thing.get("connectivity", {})
        milliseconds = connectivity.get("timestamp")
        if not milliseconds:
            return None
        since = datetime.fromtimestamp(milliseconds / 1000, UTC)
        return Sighting(cluster=self.cluster, connected=bool(connectivity.get("connected")), since=since)

    def _delete_connection(self, device: DeviceId, *, clean_session: bool) -> bool:
        try:
            self.iot_data.delete_connection(clientId=device, cleanSession=clean_session)
        except ClientError as error:
            if error.response["Error"]["Code"] == NOT_CONNECTED:
                return False
            raise UnfinishedError(f"{self.cluster}: the connection of {device} cannot be closed: {error}") from error
        except BotoCoreError as error:
            raise UnfinishedError(f"{self.cluster}: the connection of {device} cannot be closed: {error}") from error
        return True
