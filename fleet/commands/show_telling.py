"""How `route show` tells: the chain as a tree, and beside it what the zone and the resolver say."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from fleet.routing.explain import Explanation, Link
from provisioning.commands.telling import table_console


def explanation_item(explanation: Explanation) -> dict[str, Any]:
    """For `--json`."""
    return {
        "device": explanation.device,
        "target": str(explanation.target),
        "chain": _link_item(explanation.chain),
        "server_names": list(explanation.server_names),
        "zone": explanation.zone,
        "hiding": explanation.hiding,
        "resolver": {
            kind: {"says": str(answer), "chain": list(answer.chain), "addresses": list(answer.addresses)}
            for kind, answer in explanation.answers.items()
        },
        "verdict": explanation.verdict,
        "manifests": {cluster: str(listing) for cluster, listing in explanation.manifests.items()},
        "findings": [{**vars(each), "rule": str(each.rule)} for each in explanation.findings],
    }


def tell_explanation(explanation: Explanation) -> None:
    """Why, then what is."""
    console = table_console()
    console.print(_tree(explanation.chain, Tree(Text(explanation.chain.name, style="bold"))))
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(explanation):
        facts.add_row(Text(name), Text(value))
    console.print(facts)
    for finding in explanation.findings:
        console.print(Text(f"{finding.rule}: expected {finding.expected}; found {finding.found}", style="bold red"))
        console.print(Text(f"  way out: {finding.way_out}"))


def tell_history(lines: Sequence[Mapping[str, str]]) -> None:
    """A row a revision, oldest first."""
    if not lines:
        typer.echo("history: it never had a route of its own")
        return
    columns = ("revision", "changed", "by", "kind", "target", "expires", "state", "reason", "approved by", "plan")
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for line in lines:
        table.add_row(*(Text(line[column]) for column in columns))
    table_console().print(table)


def _facts(explanation: Explanation) -> list[tuple[str, str]]:
    told = [
        ("server name", " or ".join(explanation.server_names)),
        ("zone holds", explanation.zone),
        *([("HIDES THE WILDCARD", explanation.hiding)] if explanation.hiding else []),
    ]
    for kind, answer in explanation.answers.items():
        chain = " -> ".join((*answer.chain[1:], *answer.addresses))
        told.append((f"resolver says {kind}", chain or str(answer)))
    told.append(("resolver and zone", explanation.verdict))
    if explanation.is_listed_nowhere:
        told.append(("NOBODY KNOWS IT", "no cluster's manifest lists it in good standing; check its id, then `sync`"))
    else:
        told.append(("manifests", ", ".join(f"{name} {listing}" for name, listing in explanation.manifests.items())))
    return told


def _tree(link: Link, tree: Tree) -> Tree:
    for why in link.why:
        tree.add(Text(why, style="dim"))
    for following in link.next:
        _tree(following, tree.add(Text(f"-> {following.name}", style="bold")))
    return tree


def _link_item(link: Link) -> dict[str, Any]:
    return {"name": link.name, "why": list(link.why), "next": [_link_item(each) for each in link.next]}
