"""Every rule, asked at once.

A rule's parameters are named after what it reads: fields of `Environment`, `today`, `iot_regions`, `other_domains`. So
a rule cannot read what it does not name, and it is asked even when other values of the file are wrong in themselves.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from stacks.rules import batches, choice, identity, pins, places, scatter
from stacks.rules.breach import Breach, Breaches

RULES: tuple[Callable[..., Breaches], ...] = (
    places.some_cluster,
    places.one_cluster_a_region,
    places.regions_have_iot,
    places.regions_in_residency,
    places.managed_clusters_only,
    places.cluster_names_are_free,
    places.home_beside_a_cluster,
    places.server_names_fit_a_certificate,
    places.domains_apart,
    choice.default_has_its_fields,
    choice.latency_compares_clusters,
    choice.default_clusters_exist,
    choice.europe_stays_in_the_union,
    scatter.every_cluster_has_a_load,
    scatter.fleets_fit_their_connections,
    scatter.fleets_come_back_in_time,
    scatter.operators_let_devices_stay_connected,
    batches.large_fleets_gather_their_batches,
    batches.windows_leave_room_for_an_outage,
    pins.few_pins,
    pins.devices_pinned_once,
    pins.pinned_names_are_free,
    pins.pins_have_one_target,
    pins.pin_targets_exist,
    pins.pins_keep_residency,
    pins.pins_stand,
    identity.some_authority,
    identity.keys_in_files_at_the_desk_only,
    identity.common_names_differ,
    identity.some_model,
    identity.models_are_supported,
    identity.production_firmware_is_kept,
)


def judge(known: Mapping[str, Any], rules: Iterable[Callable[..., Breaches]] = RULES) -> list[Breach]:
    """What breaks a rule, of all rules whose parameters are `known`."""
    breaches: list[Breach] = []
    for rule in rules:
        reads = inspect.signature(rule).parameters
        if reads.keys() <= known.keys():
            breaches += rule(**{name: known[name] for name in reads})
    return breaches
