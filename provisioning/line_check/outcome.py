"""What a line check asks, in order, and what each answer means."""

from dataclasses import dataclass
from enum import StrEnum


class Question(StrEnum):
    """Each rests on the ones before it."""

    KEY = "the key is the certificate's"
    CHAIN = "the chain holds, and is valid now"
    NAME = "its name leads to a cluster"
    SERVER = "the cluster proves that it is ours"
    CONNECT = "it connects as itself"
    PUBLISH = "it publishes on its own topic"
    SUBSCRIBE_OTHER = "it may not listen to another device"
    PUBLISH_OTHER = "it may not speak for another device"
    DISCONNECT = "it leaves in good order"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One question, answered."""

    question: Question
    detail: str
    seconds: float


class LineCheckError(Exception):
    """A question whose answer is no: why, who acts, and whether a network that comes later could change it."""

    def __init__(self, question: Question, why: str, *, acts: str, is_offline: bool = False) -> None:
        super().__init__(f"{question}: no: {why}")
        self.question = question
        self.why = why
        self.acts = acts
        """`line`, `station` or `operator`."""
        self.is_offline = is_offline
        """No network: nothing was found wrong, and nothing was proven."""
