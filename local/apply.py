"""Applies what the program registers to the embedded AWS: Pulumi's engine in miniature.

Same inputs: nothing is called. Changed inputs: updated, or replaced where AWS cannot update. Gone from the program:
deleted, last made first. A resource whose foundation was made anew is applied again, because what AWS keeps of it
(a bucket's policy, a role's permission) went with the foundation.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from local.appliers.applier import Answer, Applier, Request
from local.appliers.registry import APPLIERS
from local.archives import refuse_stale_archives
from local.cloud import Cloud, NoCellError
from local.fingerprint import fingerprint
from local.invoke import FUNCTIONS
from local.registration import Registration
from local.state import Entry, State, Step

_T = TypeVar("_T")


class ApplyError(Exception):
    """A resource cannot be applied; names the resource, the call and the reason."""


class Action(StrEnum):
    """What happened to a resource."""

    CREATED = "created"
    UPDATED = "updated"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    DELETED = "deleted"


@dataclass(frozen=True)
class Outcome:
    """One resource, and what happened to it."""

    urn: str
    type: str
    name: str
    action: Action
    gaps: tuple[str, ...]
    """What of it the embedded cloud does not have."""


Watch = Callable[[Outcome], None]
"""Told of every outcome as it happens, from several threads."""


class Deployer:
    """The backend of `run_program` that really applies. One object a run."""

    def __init__(self, cloud: Cloud, state: State, watch: Watch, appliers: Mapping[str, Applier] = APPLIERS) -> None:
        self._cloud = cloud
        self._state = state
        self._watch = watch
        self._appliers = appliers
        self._lock = threading.Lock()
        self._outcomes: dict[str, Outcome] = {}
        self._order = state.next_order()

    def outcomes(self) -> tuple[Outcome, ...]:
        """Every outcome so far, sorted by URN."""
        with self._lock:
            return tuple(outcome for _, outcome in sorted(self._outcomes.items()))

    def create(self, registration: Registration) -> tuple[str, dict[str, Any]]:
        """Bring one resource to what the program asks for; `ApplyError` if that is refused."""
        applier = self._applier(registration.type, registration.name)
        root = self._cloud.project_root
        _explained(f"{registration.type} {registration.name}", lambda: refuse_stale_archives(registration.inputs, root))
        wanted = fingerprint(registration, root)
        former = self._state.get(registration.urn)
        if former is None:
            action = Action.CREATED
        elif former.inputs == wanted and not self._foundation_is_new(registration):
            return self._reuse(registration, former)
        else:
            action = _way_to_change(applier, former, wanted)
        entry = self._begin(registration, wanted, former)
        request = self._request(registration.name, entry.region, registration.inputs)
        answer = self._carry_out(applier, request, former, action, registration.type)
        done = entry.model_copy(
            update={"step": Step.APPLIED, "id": answer.id, "outputs": answer.outputs, "gaps": answer.gaps}
        )
        self._state.put(done)
        self._tell(done, action)
        return done.id, done.outputs

    def invoke(self, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Answer a provider function."""
        if token not in FUNCTIONS:
            raise ApplyError(f"{token}: the desk does not answer this function; there are {', '.join(FUNCTIONS)}")
        return _explained(token, lambda: FUNCTIONS[token](self._cloud, arguments))

    def delete_gone(self) -> None:
        """Delete what the program no longer has, last made first. To be called after a run that ended well."""
        with self._lock:
            seen = set(self._outcomes)
        gone = [entry for entry in reversed(self._state.entries()) if entry.urn not in seen]
        for entry in gone:
            if entry.protect:
                raise ApplyError(
                    f"{entry.type} {entry.name}: is protected, and the program no longer has it; "
                    "take the protection away first, or start anew with: local down"
                )
        for entry in gone:
            if not entry.retain_on_delete:
                self._state.put(entry.model_copy(update={"step": Step.CHANGING}))
                self._delete(self._applier(entry.type, entry.name), entry)
            self._state.remove(entry.urn)
            self._tell(entry.model_copy(update={"gaps": ()}), Action.DELETED)

    def _applier(self, type_token: str, name: str) -> Applier:
        if type_token not in self._appliers:
            raise ApplyError(
                f"{type_token} {name}: the desk cannot apply this type; write an applier for it in local/appliers"
            )
        return self._appliers[type_token]

    def _foundation_is_new(self, registration: Registration) -> bool:
        with self._lock:
            known = (self._outcomes.get(urn) for urn in registration.dependencies)
            return any(outcome is not None and outcome.action is Action.REPLACED for outcome in known)

    def _reuse(self, registration: Registration, former: Entry) -> tuple[str, dict[str, Any]]:
        """Call nothing; options that are only ours may have changed all the same."""
        options = {"protect": registration.protect, "retain_on_delete": registration.retain_on_delete}
        if options != {"protect": former.protect, "retain_on_delete": former.retain_on_delete}:
            self._state.put(former.model_copy(update=options))
        self._tell(former, Action.UNCHANGED)
        return former.id, former.outputs

    def _begin(self, registration: Registration, wanted: dict[str, Any], former: Entry | None) -> Entry:
        with self._lock:
            order, self._order = self._order, self._order + 1
        entry = Entry(
            urn=registration.urn,
            type=registration.type,
            name=registration.name,
            region=registration.region or self._cloud.home_region,
            step=Step.CHANGING,
            order=order,
            inputs=wanted,
            id=former.id if former else "",
            outputs=former.outputs if former else {},
            protect=registration.protect,
            retain_on_delete=registration.retain_on_delete,
        )
        self._state.put(entry)
        return entry

    def _carry_out(
        self, applier: Applier, request: Request, former: Entry | None, action: Action, type_token: str
    ) -> Answer:
        subject = f"{type_token} {request.name}"
        if former is not None and action is Action.UPDATED and applier.update is not None:
            update, before = applier.update, Answer(former.id, former.outputs, former.gaps)
            return _explained(subject, lambda: update(request, before))
        if former is not None:
            self._delete(applier, former)
        return _explained(subject, lambda: applier.create(request))

    def _delete(self, applier: Applier, entry: Entry) -> None:
        request = self._request(entry.name, entry.region, entry.inputs)
        before = Answer(entry.id, entry.outputs, entry.gaps)
        _explained(f"{entry.type} {entry.name}", lambda: applier.delete(request, before))

    def _request(self, name: str, region: str, inputs: Mapping[str, Any]) -> Request:
        return Request(self._cloud, name, region, inputs)

    def _tell(self, entry: Entry, action: Action) -> None:
        outcome = Outcome(entry.urn, entry.type, entry.name, action, entry.gaps)
        with self._lock:
            self._outcomes[entry.urn] = outcome
        self._watch(outcome)


def _way_to_change(applier: Applier, former: Entry, wanted: dict[str, Any]) -> Action:
    moved = any(former.inputs.get(key) != wanted.get(key) for key in applier.fixed)
    return Action.REPLACED if moved or applier.update is None else Action.UPDATED


def _explained(subject: str, call: Callable[[], _T]) -> _T:
    """The result of a call on the cloud; `ApplyError` says for which resource it was refused, and why."""
    try:
        return call()
    except ClientError as error:
        reason = error.response.get("Error", {})
        raise ApplyError(
            f"{subject}: {error.operation_name} was refused: {reason.get('Code', '?')}: {reason.get('Message', error)}"
        ) from error
    except (BotoCoreError, NoCellError, OSError, ValueError, TypeError) as error:
        raise ApplyError(f"{subject}: {error}") from error
    except KeyError as error:
        raise ApplyError(f"{subject}: the input {error} is missing") from error
