"""The cells of a desk: one MiniStack process a region, since one process cannot tell two regions' devices apart."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.background import end_strays, stop_processes
from local.cell import RECORD_FILE, Cell, CellError, cell_folder, read_cell, start_cell
from local.cell_tls import CellAuthority, open_authority

__all__ = ["Cell", "CellError", "Cells", "read_cells", "start_cells"]


@dataclass(frozen=True)
class Cells:
    """The cloud of a desk, by region."""

    cells: Mapping[str, Cell]
    home_region: str
    """Where Route 53 lives, and whatever has no region of its own."""

    @property
    def home(self) -> Cell:
        """The cell of the home region."""
        return self.cells[self.home_region]

    def endpoint(self, region: str) -> str:
        """The AWS endpoint of a region; `CellError` names the regions there are."""
        try:
            return self.cells[region].endpoint
        except KeyError:
            raise CellError(f"region {region}: has no cell on this desk; there are {', '.join(self.cells)}") from None

    def stop(self) -> None:
        """End every cell and what it started, and forget them; their logs stay. Harmless when repeated."""
        _stop(tuple(self.cells.values()))


def start_cells(
    home: Path,
    regions: Sequence[str],
    *,
    home_region: str,
    domain: str,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Cells:
    """The cells of `regions` and of `home_region`, running and ready.

    A healthy cell that serves the same domain under the same CA is left as it is; every other is started, empty, with
    a new `incarnation`. Cells of regions no longer asked for are stopped. `CellError` if one cannot be started; then
    none of those started here is left behind.
    """
    now = clock()
    home.mkdir(parents=True, exist_ok=True)
    authority = open_authority(home, now)
    wanted = tuple(dict.fromkeys((home_region, *regions)))
    former = _recorded(home)
    kept = {region: former[region] for region in wanted if _is_usable(former.get(region), domain, authority)}
    _stop([cell for region, cell in former.items() if region not in kept])
    starting = {
        region: start_cell(home, region, domain=domain, authority=authority, now=now, former=former.get(region))
        for region in wanted
        if region not in kept
    }
    started: dict[str, Cell] = {}
    try:
        for region, ready in starting.items():
            started[region] = ready()
    except BaseException:
        for region in starting:
            end_strays(cell_folder(home, region))
        _stop(tuple(started.values()))
        raise
    return Cells({region: kept.get(region) or started[region] for region in wanted}, home_region)


def read_cells(home: Path, *, home_region: str) -> Cells | None:
    """The cells a home remembers, running or not; nothing if it remembers none of the home region."""
    cells = _recorded(home)
    return Cells(cells, home_region) if home_region in cells else None


def _recorded(home: Path) -> dict[str, Cell]:
    folder = home / "cells"
    regions = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    return {region: cell for region in regions if (cell := read_cell(home, region))}


def _stop(cells: Sequence[Cell]) -> None:
    stop_processes(cell.process for cell in cells)
    for cell in cells:
        for part in ("state", "tmp"):
            shutil.rmtree(cell.process.folder / part, ignore_errors=True)
        (cell.process.folder / RECORD_FILE).unlink(missing_ok=True)


def _is_usable(cell: Cell | None, domain: str, authority: CellAuthority) -> bool:
    return cell is not None and (cell.domain, cell.authority) == (domain, authority.fingerprint) and cell.is_healthy
