"""What must hold between the values of a factory file.

As in `stacks.rules`, a rule's parameters are named after the sections it reads, so that it is asked even when other
sections are wrong in themselves.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from provisioning.algorithm import Algorithm
from provisioning.alternative_name import NameKind
from provisioning.factory_file import Authority, Gateway, Line, Model, Root, Station
from provisioning.serials import SerialRange
from stacks.environment import GATEWAY_AUTHORITY, AuthorityKey
from stacks.rules.breach import Breach, Breaches
from stacks.rules.identity import DESK

KMS_ALGORITHM = Algorithm.ECDSA_P256_SHA256
"""What `components.certificate_authority` makes keys for (ECC_NIST_P256)."""
MAX_LEASE_DAYS = 366
"""A station is trusted with a key of its own for one production year at most; then people look at it again."""


def some_of_each(
    authorities: Mapping[str, Authority], lines: Mapping[str, Line], models: Mapping[str, Model]
) -> Breaches:
    """Without one of each nothing can be issued."""
    sections: dict[str, tuple[Mapping[str, object], str]] = {
        "authorities": (authorities, "line-a"),
        "lines": (lines, "assembly-a"),
        "models": (models, "fl100"),
    }
    for section, (entries, example) in sections.items():
        if not entries:
            yield Breach((section,), "a factory has at least one of these", f"add one, such as {example}")


def gateways_stand_apart(authorities: Mapping[str, Authority]) -> Breaches:
    """The authority of gateways signs servers; the others sign devices."""
    if GATEWAY_AUTHORITY in authorities:
        rule = f"{GATEWAY_AUTHORITY} signs no devices"
        yield Breach(("authorities", GATEWAY_AUTHORITY), rule, "describe it under `gateway`, beside `authorities`")


def no_two_signers_share_a_label(authorities: Mapping[str, Authority], stations: Mapping[str, Station]) -> Breaches:
    """A signer's certificate and key are files of its name."""
    for station in stations:
        if station in authorities or station in (GATEWAY_AUTHORITY, "root"):
            yield Breach(("stations", station), f"{station} is a signer already", "give the station a name of its own")


def authorities_end_before_their_root(root: Root, authorities: Mapping[str, Authority]) -> Breaches:
    """What a root signed is worth nothing once the root has ended."""
    for name, authority in authorities.items():
        if authority.lifetime_years >= root.lifetime_years:
            rule = f"an authority of {authority.lifetime_years} years outlives its root of {root.lifetime_years}"
            yield Breach(("authorities", name, "lifetime_years"), rule, "shorten it, or lengthen the root's")


def common_names_differ(
    root: Root, authorities: Mapping[str, Authority], stations: Mapping[str, Station], gateway: Gateway | None
) -> Breaches:
    """Issuers with one subject cannot be told apart in a certificate (design decision 6: unique subjects)."""
    owners = {root.common_name.casefold(): "the root"}
    for path, signer in _signers(authorities, stations, gateway):
        other = owners.setdefault(signer.common_name.casefold(), path[-1])
        if other != path[-1]:
            rule = f"{signer.common_name!r} is the name of {other} already"
            yield Breach((*path, "common_name"), rule, "give everything that signs a name of its own")


def keys_in_files_at_the_desk_only(
    environment: str, authorities: Mapping[str, Authority], stations: Mapping[str, Station], gateway: Gateway | None
) -> Breaches:
    """A file can be copied without a trace; a key in KMS or an HSM cannot."""
    for path, signer in _signers(authorities, stations, gateway):
        if signer.key is AuthorityKey.FILE and environment != DESK:
            yield Breach((*path, "key"), f"a signing key in a file is for {DESK} only", "write kms, or pkcs11")


def keys_are_at_hand(
    authorities: Mapping[str, Authority], stations: Mapping[str, Station], gateway: Gateway | None
) -> Breaches:
    """A factory signs with its own keys."""
    for path, signer in _signers(authorities, stations, gateway):
        if signer.key is AuthorityKey.VENDOR:
            rule = "a vendor's key signs nothing here"
            yield Breach((*path, "key"), rule, "leave it to the stack file alone; its elements come by import-elements")


def keys_in_kms_are_what_the_stack_makes(
    authorities: Mapping[str, Authority], stations: Mapping[str, Station], gateway: Gateway | None
) -> Breaches:
    """The program makes one kind of key in KMS."""
    for path, signer in _signers(authorities, stations, gateway):
        if signer.key is AuthorityKey.KMS and signer.algorithm is not KMS_ALGORITHM:
            made = KMS_ALGORITHM.facts.kms_key_spec
            rule = f"the stack makes {made} keys in KMS, which do not sign {signer.algorithm}"
            yield Breach((*path, "algorithm"), rule, f"write {KMS_ALGORITHM}, or keep the key elsewhere")


def lines_name_what_there_is(
    lines: Mapping[str, Line], authorities: Mapping[str, Authority], models: Mapping[str, Model]
) -> Breaches:
    """A name that nothing has is a slip."""
    for name, line in lines.items():
        if line.authority not in authorities:
            rule = f"there is no authority {line.authority!r}"
            yield Breach(("lines", name, "authority"), rule, f"write one of {_listed(authorities)}")
        for index, model in enumerate(line.models):
            if model not in models:
                rule = f"there is no model {model!r}"
                yield Breach(("lines", name, "models", index), rule, f"write one of {_listed(models)}")
            if model in line.models[:index]:
                yield Breach(("lines", name, "models", index), f"{model} stands in this list already", "remove it once")


def everything_is_used(
    lines: Mapping[str, Line], authorities: Mapping[str, Authority], models: Mapping[str, Model]
) -> Breaches:
    """What nothing uses is a slip, or a right that nobody asked for."""
    signing = {line.authority for line in lines.values()}
    for name in authorities:
        if name not in signing:
            yield Breach(("authorities", name), "no line issues with this authority", "name it in a line, or remove it")
    made = {model for line in lines.values() for model in line.models}
    for name in models:
        if name not in made:
            yield Breach(("models", name), "no line makes this model", "name it in a line, or remove it")


def devices_end_before_their_issuer(
    lines: Mapping[str, Line], authorities: Mapping[str, Authority], models: Mapping[str, Model]
) -> Breaches:
    """An authority whose life is its devices' could issue on its first day alone."""
    told = set()
    for line in lines.values():
        authority = authorities.get(line.authority)
        for name in line.models:
            model = models.get(name)
            if authority is None or model is None or name in told:
                continue
            if model.lifetime_years >= authority.lifetime_years:
                told.add(name)
                rule = (
                    f"a device of {model.lifetime_years} years outlives its authority {line.authority} of "
                    f"{authority.lifetime_years}"
                )
                yield Breach(("models", name, "lifetime_years"), rule, "shorten it, or lengthen the authority's")


def hardware_types_are_for_hardware_modules(models: Mapping[str, Model]) -> Breaches:
    """One without the other is a slip."""
    for name, model in models.items():
        is_wanted = model.alternative_name is NameKind.HARDWARE_MODULE
        if is_wanted and model.hardware_type is None:
            rule = f"{NameKind.HARDWARE_MODULE} needs the type of the hardware"
            yield Breach(("models", name, "alternative_name"), rule, "write hardware_type beside it")
        if not is_wanted and model.hardware_type is not None:
            rule = f"only {NameKind.HARDWARE_MODULE} says the type of the hardware"
            way_out = f"remove it, or write alternative_name: {NameKind.HARDWARE_MODULE}"
            yield Breach(("models", name, "hardware_type"), rule, way_out)


def stations_stand_on_a_line(
    stations: Mapping[str, Station], lines: Mapping[str, Line], authorities: Mapping[str, Authority]
) -> Breaches:
    """A station's certificate is signed by its line's authority, which must be allowed to."""
    for name, station in stations.items():
        line = lines.get(station.line)
        if line is None:
            rule = f"there is no line {station.line!r}"
            yield Breach(("stations", name, "line"), rule, f"write one of {_listed(lines)}")
            continue
        authority = authorities.get(line.authority)
        if authority is not None and authority.path_length == 0:
            rule = f"authority {line.authority} may have no station below it (path_length: 0)"
            yield Breach(("stations", name, "line"), rule, "give the line an authority with path_length: 1")


def stations_outlast_their_devices(
    stations: Mapping[str, Station],
    lines: Mapping[str, Line],
    authorities: Mapping[str, Authority],
    models: Mapping[str, Model],
) -> Breaches:
    """A device signed on a lease's last day may not outlive the station's certificate, nor that its authority."""
    for name, station in stations.items():
        line = lines.get(station.line)
        if line is None:
            continue
        path = ("stations", name, "lifetime_years")
        authority = authorities.get(line.authority)
        if authority is not None and station.lifetime_years >= authority.lifetime_years:
            rule = (
                f"a station of {station.lifetime_years} years outlives its authority {line.authority} of "
                f"{authority.lifetime_years}"
            )
            yield Breach(path, rule, "shorten it, or lengthen the authority's")
        longest = max((models[model].lifetime_years for model in line.models if model in models), default=0)
        if station.lifetime_years <= longest:
            rule = f"devices of {longest} years, signed during the lease, outlive a station of {station.lifetime_years}"
            yield Breach(path, rule, f"write at least {longest + 1}")


def leases_are_short(stations: Mapping[str, Station]) -> Breaches:
    """Design decision 6: a station may be stolen, so what it may do ends soon by itself."""
    for name, station in stations.items():
        lease, path = station.lease, ("stations", name, "lease")
        if lease.ends < lease.begins:
            yield Breach((*path, "ends"), f"the lease ends before it begins, on {lease.begins}", "write a later day")
        elif lease.lasts.days > MAX_LEASE_DAYS:
            rule = f"the lease lasts {lease.lasts.days} days, and {MAX_LEASE_DAYS} are the most"
            yield Breach((*path, "ends"), rule, "end it earlier, and renew it when people have looked at the station")
        if lease.from_hour == lease.to_hour:
            rule = f"from {lease.from_hour} to {lease.to_hour} o'clock there is no hour to issue in"
            yield Breach((*path, "to_hour"), rule, "write a later hour, or an earlier one for a night shift")


def serials_do_not_overlap(authorities: Mapping[str, Authority], stations: Mapping[str, Station]) -> Breaches:
    """A range says whose certificate it is; with two owners it says nothing."""
    seen: list[tuple[str, SerialRange]] = []
    signers = [(("authorities", name), each.serials) for name, each in authorities.items()]
    signers += [(("stations", name), each.serials) for name, each in stations.items()]
    for path, prefix in signers:
        if prefix is None:
            continue
        mine = SerialRange(prefix)
        for owner, other in seen:
            if mine.overlaps(other):
                rule = f"serial numbers {prefix}… are of {owner} already ({other.prefix}…)"
                yield Breach((*path, "serials"), rule, "write another beginning")
        seen.append((path[1], mine))


RULES: tuple[Callable[..., Breaches], ...] = (
    some_of_each,
    gateways_stand_apart,
    no_two_signers_share_a_label,
    authorities_end_before_their_root,
    common_names_differ,
    keys_in_files_at_the_desk_only,
    keys_are_at_hand,
    keys_in_kms_are_what_the_stack_makes,
    lines_name_what_there_is,
    everything_is_used,
    devices_end_before_their_issuer,
    hardware_types_are_for_hardware_modules,
    stations_stand_on_a_line,
    stations_outlast_their_devices,
    leases_are_short,
    serials_do_not_overlap,
)


def _signers(
    authorities: Mapping[str, Authority], stations: Mapping[str, Station], gateway: Gateway | None
) -> Iterator[tuple[tuple[str, ...], Authority | Station | Gateway]]:
    """Where each signer but the root stands in the file, and what it is."""
    for name, authority in authorities.items():
        yield ("authorities", name), authority
    for name, station in stations.items():
        yield ("stations", name), station
    if gateway is not None:
        yield (GATEWAY_AUTHORITY,), gateway


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
