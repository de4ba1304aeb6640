"""Ask the questions in order; the first no ends it. A second at most for an identity that is admitted already."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from protocol.traffic import ADMISSION_DELAY, ADMISSION_TRIES
from provisioning.line_check.outcome import Answer, LineCheckError, Question
from provisioning.line_check.papers import Papers, check_chain, check_key
from provisioning.line_check.session import NotAdmittedError, Session
from provisioning.line_check.way import Address, check_server, find_server


@dataclass(frozen=True, kw_only=True)
class LineCheck:
    """One device's check: what it is asked about, and what the world gives."""

    papers: Papers
    issued: str | None
    """The fingerprint the ledger has of the device's identity in good standing."""
    resolver: Address | None
    proxy: Address | None
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]

    def run(self) -> Iterator[Answer]:
        """Every answer, as it comes; `LineCheckError` for the first no."""
        yield self._ask(Question.KEY, lambda: check_key(self.papers))
        yield self._ask(Question.CHAIN, lambda: check_chain(self.papers, issued=self.issued, now=self.clock()))
        name = self._ask(Question.NAME, lambda: find_server(self.papers, self.resolver))
        yield name
        server = name.detail
        yield self._ask(Question.SERVER, lambda: check_server(server, self.papers, self.proxy))
        begun = self.monotonic()
        session, tries = self._connected(server)
        try:
            detail = "at once" if tries == 1 else f"at try {tries}: it was admitted meanwhile"
            yield Answer(question=Question.CONNECT, detail=detail, seconds=self.monotonic() - begun)
            yield self._ask(Question.PUBLISH, lambda: session.publish_own(self.papers))
            yield self._ask(Question.SUBSCRIBE_OTHER, session.subscribe_other)
            yield self._ask(Question.PUBLISH_OTHER, session.publish_other)
        finally:
            goodbye = self._ask(Question.DISCONNECT, session.close)
        yield goodbye

    def _connected(self, server: str) -> tuple[Session, int]:
        """The registrar takes a few seconds with a new identity; a device tries this often, and so do we."""
        for attempt in range(1, ADMISSION_TRIES + 1):
            try:
                return Session.connect(server, self.papers, self.proxy), attempt
            except NotAdmittedError as error:
                last = error
            if attempt < ADMISSION_TRIES:
                self.sleep(ADMISSION_DELAY.total_seconds())
        why = (
            f"{server} did not let it in, {ADMISSION_TRIES} times ({last}); was it synced to this cluster? "
            f"If so, the registrar's log there says why"
        )
        raise LineCheckError(Question.CONNECT, why, acts="operator")

    def _ask(self, question: Question, ask: Callable[[], str]) -> Answer:
        begun = self.monotonic()
        detail = ask()
        return Answer(question=question, detail=detail, seconds=self.monotonic() - begun)
