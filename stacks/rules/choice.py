"""Where the wildcard leads: a choice with exactly the fields it uses, between clusters that exist."""

from collections.abc import Mapping

from stacks.document import KeyPath
from stacks.environment import Choice, Cluster, Continent, Default, Residency
from stacks.rules.breach import Breach, Breaches

FIELDS = {
    Choice.SINGLE: ("cluster",),
    Choice.LATENCY: ("clusters",),
    Choice.GEOLOCATION: ("cluster", "continents"),
}
"""What each choice reads of `Default`; it needs all of them and allows no other."""


def default_has_its_fields(default: Default) -> Breaches:
    """A field that nothing reads would mislead a reviewer."""
    wanted = FIELDS[default.choose]
    for field in ("cluster", "clusters", "continents"):
        given = bool(getattr(default, field))
        if given and field not in wanted:
            rule = f"a default chosen by {default.choose} reads no `{field}`"
            yield Breach(("default", field), rule, f"remove it, or choose otherwise than {default.choose}")
        if not given and field in wanted:
            rule = f"a default chosen by {default.choose} needs `{field}`"
            yield Breach(("default",), rule, f"add `{field}`")


def latency_compares_clusters(default: Default) -> Breaches:
    """The lowest latency is a choice only between two or more, and Route 53 takes a region once."""
    if default.choose is not Choice.LATENCY or not default.clusters:
        return
    distinct = set(default.clusters)
    if len(distinct) < len(default.clusters):
        yield Breach(("default", "clusters"), "a candidate is named twice", "name every candidate once")
    if len(distinct) < 2:
        way_out = "name at least two, or choose: single"
        yield Breach(("default", "clusters"), "latency needs clusters to choose between", way_out)


def default_clusters_exist(default: Default, clusters: Mapping[str, Cluster]) -> Breaches:
    """Every cluster the default names."""
    named: list[tuple[KeyPath, str]] = [(("default", "cluster"), default.cluster)] if default.cluster else []
    named += [(("default", "clusters", index), name) for index, name in enumerate(default.clusters)]
    named += [(("default", "continents", place), name) for place, name in default.continents.items()]
    for path, name in named:
        if name not in clusters:
            rule = f"there is no cluster {name}"
            yield Breach(path, rule, f"name one of {', '.join(clusters) or 'the clusters, once there are any'}")


def europe_stays_in_the_union(default: Default, clusters: Mapping[str, Cluster]) -> Breaches:
    """A device that asks from Europe is led to a cluster that keeps its data in the EU, if by the fallback.

    A fleet that names no rule for Europe and has no cluster in the EU makes no promise to break.
    """
    if default.choose is not Choice.GEOLOCATION:
        return
    home = {name for name, cluster in clusters.items() if cluster.residency is Residency.EU}
    named = default.continents.get(Continent.EUROPE)
    target = named or default.cluster
    if target in clusters and target not in home and (named or home):
        path: KeyPath = ("default", "continents", Continent.EUROPE) if named else ("default", "cluster")
        rule = f"devices in Europe would be led to {target}, whose data stays in {clusters[str(target)].residency}"
        yield Breach(path, rule, "lead continent EU to a cluster with residency EU")
