"""Where in the program an error arose, noted while it rises.

A future of asyncio gives an error's traceback to the first who awaits it and takes it from the error for the second
(CPython 3.11, `future_get_result`). Of an output that several resources need, nobody would know the line in the end.
"""

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

WHOLE_PROGRAM = "__main__.py"


class Places:
    """Of one run: where each error arose."""

    def __init__(self, project_root: Path, ours: Path) -> None:
        """Take the files below `project_root` for the program's, except those below `ours`."""
        self._project_root = project_root
        self._ours = ours
        self._noted: list[tuple[BaseException, str]] = []

    def make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        """Make a task whose errors are noted; for `loop.set_task_factory`."""
        return asyncio.Task(_Watched(work, self._note), loop=loop, **options)

    def place(self, error: BaseException) -> str:
        """File and line, or the program as a whole."""
        known = (place for each, place in self._noted if each is error)
        return next(known, None) or self._seen(error) or WHOLE_PROGRAM

    def _note(self, error: BaseException) -> None:
        place = self._seen(error)
        if place is not None and all(each is not error for each, _ in self._noted):
            self._noted.append((error, place))

    def _seen(self, error: BaseException) -> str | None:
        """The innermost frame of the program's own."""
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            path = Path(frame.filename)
            inside = path.is_relative_to(self._project_root) and not path.is_relative_to(self._ours)
            if inside and ".venv" not in path.parts:
                return f"{path.relative_to(self._project_root)}:{frame.lineno}"
        return None


class _Watched(Coroutine[Any, Any, Any]):
    """A coroutine that tells of the error it ends with."""

    def __init__(self, work: Coroutine[Any, Any, Any], note: Callable[[BaseException], None]) -> None:
        self._work = work
        self._note = note

    def send(self, value: Any, /) -> Any:
        """Go on with `value`."""
        return self._told(lambda: self._work.send(value))

    def throw(self, *error: Any) -> Any:
        """Go on with an error."""
        return self._told(lambda: self._work.throw(*error))

    def close(self) -> None:
        """End it."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        """As the coroutine itself."""
        return self._work.__await__()

    def _told(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except StopIteration:
            raise
        except Exception as error:
            self._note(error)
            raise
