"""Holds the configuration the device works by, over restarts; takes another one whole or not at all.

Beside it lies the last wish of the cloud that was taken: a lasting wish is taken once, not once a start, so that a
restart does not undo what a job did since.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from device.configuration import Configuration
from device.shelf import Shelf
from protocol.batch_window import BatchWindow

CONFIGURATION_FILE = "configuration.json"
WISH_FILE = "wish.json"
MAX_REASONS = 8
"""A document that is wrong in more places is wrong as a whole; a shadow holds 8 KB."""


class InvalidConfigurationError(Exception):
    """A configuration that is none. `reasons`: by the place in the document."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__("; ".join(f"{place}: {reason}" for place, reason in reasons.items()))
        self.reasons = reasons


class ConfigurationKeeper:
    """One device's."""

    __slots__ = ("_listeners", "_promised", "_shelf", "current", "wish")

    def __init__(self, shelf: Shelf, promised: BatchWindow) -> None:
        """What was kept; the defaults when nothing was, or another firmware kept what this one does not know.

        `promised`: the bounds of the window that the device's bundle gives it.
        """
        self._shelf, self._promised = shelf, promised
        self._listeners: list[Callable[[], None]] = []
        self.wish: Any = None
        """The last one that was taken; nothing when the configuration was lost, so that it is looked at again."""
        if kept := shelf.read(CONFIGURATION_FILE):
            try:
                self.current = _checked(Configuration.model_validate_json(kept), promised)
            except (ValidationError, InvalidConfigurationError):
                self.current = Configuration()
            else:
                self.wish = _read_wish(shelf)
        else:
            self.current = Configuration()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change."""
        self._listeners.append(listener)

    def take(self, document: Any) -> None:
        """Work by `document` from now on; `InvalidConfigurationError`, or `OSError` when the flash does not keep it.

        In both cases the configuration stays what it was.
        """
        wanted = read_configuration(document, self._promised)
        if as_document(wanted) != as_document(self.current):
            self._shelf.write(CONFIGURATION_FILE, wanted.model_dump_json(exclude_unset=True).encode())
            self.current = wanted
        for listener in self._listeners:
            listener()

    def take_wish(self, desired: Any) -> None:
        """The same for a lasting wish, and remember that it was taken.

        The order is for power cuts: taken and not remembered, it is taken again by the next start, to the same effect.
        """
        self.take(desired)
        self.wish = desired
        # A flash that kept the configuration and not this costs a look at the wish, not the configuration.
        with suppress(OSError):
            self._shelf.write(WISH_FILE, json.dumps(desired).encode())


def _read_wish(shelf: Shelf) -> Any:
    try:
        return json.loads(shelf.read(WISH_FILE) or b"null")
    except ValueError:
        return None


def read_configuration(document: Any, promised: BatchWindow) -> Configuration:
    """The configuration in `document`; `InvalidConfigurationError` names every place that is wrong."""
    try:
        return _checked(Configuration.model_validate(document), promised)
    except ValidationError as error:
        reasons = {
            ".".join(str(part) for part in each["loc"]) or "the document": each["msg"]
            for each in error.errors()[:MAX_REASONS]
        }
        raise InvalidConfigurationError(reasons) from error


def _checked(configuration: Configuration, promised: BatchWindow) -> Configuration:
    """The same; `InvalidConfigurationError` where it leaves what the model promises, or gives rows up before that."""
    reasons = {f"window.{key}": reason for key, reason in configuration.window.beyond(promised).items()}
    if not reasons:
        stalest_seconds = configuration.window.within(promised).stalest_seconds
        early = configuration.time_to_live_seconds.shorter_than(stalest_seconds)
        reasons = {f"time_to_live_seconds.{key}": reason for key, reason in early.items()}
    if reasons:
        raise InvalidConfigurationError(reasons)
    return configuration


def as_document(configuration: Configuration) -> dict[str, Any]:
    """What was set of it, as JSON has it; what was not set is the default and not named."""
    return configuration.model_dump(mode="json", exclude_unset=True, exclude_none=True)
