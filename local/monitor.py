"""The resource monitor of a program that runs without the Pulumi CLI."""

import threading
from typing import Any

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped] # protobuf ships no types
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.proto import resource_pb2

from local.registration import Backend, ProgramError, Registration, Resource
from local.wire import UNKNOWN, decode_properties

STACK_TYPE = "pulumi:pulumi:Stack"


class _NoMocks(Mocks):
    """`MockMonitor` wants mocks; every call that would use them is overridden below."""

    def call(self, args: MockCallArgs) -> Any:
        raise NotImplementedError(args.token)

    def new_resource(self, args: MockResourceArgs) -> Any:
        raise NotImplementedError(args.typ)


class Monitor(MockMonitor):
    """Takes the SDK's requests, asks the backend, and remembers every answer. Called from several threads."""

    def __init__(self, stack: str, project: str, backend: Backend) -> None:
        super().__init__(_NoMocks())
        self.stack = stack
        self.project = project
        self.exports: dict[str, Any] = {}
        self.failures: list[str] = []
        """One line for each resource or function that failed, in the order of failure."""
        self._backend = backend
        self._lock = threading.Lock()
        self._answers: dict[str, Resource | None] = {}

    def answered(self) -> tuple[Resource, ...]:
        """Every answered registration, sorted by URN."""
        with self._lock:
            return tuple(answer for _, answer in sorted(self._answers.items()) if answer is not None)

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The URN the real engine gives: the types of all parents but the stack, joined by `$`."""
        ancestry = parent.split("::")[2] if parent else STACK_TYPE
        qualified = type_ if ancestry == STACK_TYPE else f"{ancestry}${type_}"
        return f"urn:pulumi:{self.stack}::{self.project}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Answer one registration through the backend."""
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        self._claim(urn, request)
        registration = _registration(urn, request)
        resource_id, outputs = self._create(registration) if registration.custom else ("", {})
        with self._lock:
            self._answers[urn] = Resource(registration, resource_id, outputs)
        response = resource_pb2.RegisterResourceResponse(urn=urn, id="" if resource_id == UNKNOWN else resource_id)
        response.object.CopyFrom(request.object)
        response.object.update(outputs)
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Keep the stack's outputs: these are the exports."""
        if request.urn.split("::")[2] == STACK_TYPE:
            self.exports, _ = decode_properties(request.outputs)
        return Empty()

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Answer a provider function through the backend."""
        arguments, _ = decode_properties(request.args)
        try:
            result = self._backend.invoke(request.tok, arguments)
        except Exception as error:
            raise self._failure(request.tok, error) from error
        response = resource_pb2.ResourceInvokeResponse()
        getattr(response, "return").update(result)
        return response

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Refuse: this program owns what it names, so there is nothing to read."""
        raise self._failure(f"{request.type} {request.name}", "reading a resource that exists already is not supported")

    def _claim(self, urn: str, request: Any) -> None:
        """Refuse a second resource of the same URN, and any new one once something failed."""
        with self._lock:
            if self.failures:
                raise ProgramError(f"{request.type} {request.name}: not started, because something before it failed")
            known = urn in self._answers
            self._answers.setdefault(urn, None)
        if known:
            raise self._failure(f"{request.type} {request.name}", f"another resource has the URN {urn}; rename one")

    def _create(self, registration: Registration) -> tuple[str, dict[str, Any]]:
        try:
            return self._backend.create(registration)
        except Exception as error:
            raise self._failure(f"{registration.type} {registration.name}", error) from error

    def _failure(self, subject: str, reason: object) -> ProgramError:
        described = str(reason) or type(reason).__name__
        message = described if subject in described else f"{subject}: {described}"
        with self._lock:
            self.failures.append(message)
        return ProgramError(message)


def _registration(urn: str, request: Any) -> Registration:
    inputs, secrets = decode_properties(request.object)
    region = inputs.get("region")
    parent = None if request.parent.split("::")[2:3] in ([], [STACK_TYPE]) else request.parent
    return Registration(
        urn=urn,
        type=request.type,
        name=request.name,
        parent=parent,
        custom=request.custom,
        inputs=inputs,
        secrets=secrets,
        region=region if isinstance(region, str) and region != UNKNOWN else None,
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        delete_before_replace=request.deleteBeforeReplace,
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={
            name: tuple(sorted(dependencies.urns))
            for name, dependencies in sorted(request.propertyDependencies.items())
        },
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        provider=request.provider,
    )
