"""A deployment's outputs as routing takes them: plain values."""

from fleet.routing.ground import Ground
from fleet.routing.places import Place, Places
from fleet.routing.target import Target
from stacks.environment import Choice
from stacks.outputs import Outputs


def places_of(outputs: Outputs) -> Places:
    """The clusters, the default and the pins."""
    default = outputs.routing.default
    single = [default.cluster] if default.cluster else []
    return Places(
        domain=outputs.domain,
        clusters={
            name: Place(
                kind=cluster.kind,
                residency=cluster.residency,
                server_name=cluster.server_name,
                max_connections=cluster.max_connections,
                max_connects_per_second=cluster.max_connects_per_second,
            )
            for name, cluster in outputs.clusters.items()
        },
        default=tuple(dict.fromkeys([*single, *default.clusters, *default.continents.values()])),
        default_follows_the_place=default.choose == Choice.GEOLOCATION,
        pins={device: Target.parse(pin.target) for device, pin in outputs.routing.pins.items()},
    )


def ground_of(outputs: Outputs) -> Ground:
    """What a plan must have been made for, to be carried out here."""
    return Ground(
        environment=outputs.environment,
        domain=outputs.domain,
        zone_id=outputs.zone_id,
        route_table=outputs.routing.route_table,
        clusters={name: cluster.server_name for name, cluster in outputs.clusters.items()},
        pins=frozenset(outputs.routing.pins),
    )
