"""Asked to end by a supervisor or a closed terminal, a run ends as by Ctrl-C: nothing of it is left."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ASKED = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Both signals are SIGINT within; one that is ignored, as under nohup, stays so."""
    changed = [each for each in ASKED if signal.getsignal(each) is signal.SIG_DFL]
    for each in changed:
        signal.signal(each, _interrupt)
    try:
        yield
    finally:
        for each in changed:
            signal.signal(each, signal.SIG_DFL)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
