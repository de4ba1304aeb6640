"""The station's API over HTTP: one call a device, the same however often it comes, durable before it is answered."""

import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from protocol.device_id import DeviceId
from provisioning.authority import IssuingAuthority
from provisioning.errors import ProvisioningError
from provisioning.order import Order
from provisioning.serve.access import Guard
from provisioning.serve.documents import (
    DEVICE_PATTERN,
    DeviceName,
    Ended,
    Health,
    IdentityDocument,
    IdentityRequest,
    Readiness,
    Retirement,
)
from provisioning.serve.metrics import Metrics
from provisioning.serve.problem import PROBLEM_TYPE, Problem
from provisioning.serve.readiness import checks
from provisioning.station import Station

API_VERSION = "1.0.0"

_Device = Annotated[DeviceName, Path(description="The device id.", examples=["device1"], pattern=DEVICE_PATTERN)]


class _ProblemError(Exception):
    """Carries a problem to where it is answered."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def station_api(
    station: Station, token: str, *, signers: Sequence[str] = (), monotonic: Callable[[], float] = time.monotonic
) -> Guard:
    """The application, behind its guard. Requests run in threads of their own; each opens the ledger for itself.

    `signers`: who must be able to sign for this station to be ready, as `serve.readiness` has it.
    """
    metrics = Metrics()
    application = FastAPI(
        title="Flotilla station",
        version=API_VERSION,
        description="Issues identities for the devices of this line. Every answer with 2xx is durable; every other one "
        "is a problem document (RFC 9457) that says who must act. Asking again is always harmless.",
        docs_url=None,
        redoc_url=None,
        responses={
            int(status): {"description": text, "content": {PROBLEM_TYPE: {"schema": _PROBLEM_SCHEMA}}}
            for status, text in _EVERYWHERE.items()
        },
    )
    _identities(application, station, metrics, monotonic)
    _watching(application, station, signers, metrics)
    application.add_exception_handler(_ProblemError, lambda _request, error: _answer(error.problem))
    application.add_exception_handler(RequestValidationError, _invalid)
    application.add_exception_handler(HTTPException, _elsewhere)
    for expected in (ProvisioningError, OSError):
        application.add_exception_handler(expected, lambda _request, error: _answer(Problem.of(error)))
    _describe(application)
    return Guard(application, token, lambda status: metrics.turned_away.labels(str(int(status))).inc())


def _identities(application: FastAPI, station: Station, metrics: Metrics, monotonic: Callable[[], float]) -> None:
    @application.post(
        "/v1/identities",
        status_code=HTTPStatus.CREATED,
        responses={200: {"model": IdentityDocument, "description": "The same request was answered before"}, **_SIGNING},
        summary="Issue a device's identity",
    )
    def issue(wanted: IdentityRequest, response: Response) -> IdentityDocument:
        """The same request again gives the same certificate; another key for a known device is a conflict."""
        begun = monotonic()
        try:
            order = _order(station, wanted)
            request = station.request(order, wanted.csr.encode())
            _ready(station, order)
            issued = station.issue(order, request)
        except (ProvisioningError, OSError) as error:
            problem = Problem.of(error, device=wanted.device)
            metrics.issued.labels(problem.type.rpartition("/")[2]).inc()
            raise _ProblemError(problem) from error
        except _ProblemError as error:
            metrics.issued.labels(error.problem.type.rpartition("/")[2]).inc()
            raise
        metrics.issued.labels("issued" if issued.is_new else "again").inc()
        metrics.issuing_seconds.observe(monotonic() - begun)
        if not issued.is_new:
            response.status_code = HTTPStatus.OK
        return IdentityDocument.of(issued.identity, issued.files)

    @application.get("/v1/devices/{device}", responses=_OF_A_DEVICE, summary="A device's identity")
    def find(device: _Device) -> IdentityDocument:
        """The one it was given last, with its bundle unless it has ended. Whoever gets the bundle was handed it."""
        identity = station.find(DeviceId(device))
        if identity is None:
            raise _ProblemError(_unknown(device))
        return IdentityDocument.of(identity, station.bundle_of(identity))

    @application.post("/v1/devices/{device}/retirement", responses=_OF_A_DEVICE, summary="End an identity")
    def retire(device: _Device, why: Retirement) -> Ended:
        """In the ledger, for ever; after it the device may have another identity, with another key.

        What was prepared and never signed ends as well: a power cut leaves that.
        """
        is_new = station.retire(DeviceId(device), why.reason, why.note)
        if is_new:
            metrics.retired.inc()
        return Ended(device=device, is_new=is_new)


def _watching(application: FastAPI, station: Station, signers: Sequence[str], metrics: Metrics) -> None:
    @application.get("/health", summary="Whether the process lives", openapi_extra={"security": []})
    def health() -> Health:
        """Needs no token."""
        return Health()

    @application.get(
        "/ready",
        responses={503: {"model": Readiness, "description": "It cannot; the checks say why, and who must act"}},
        summary="Whether this station can issue now",
    )
    def ready(response: Response) -> Readiness:
        """Disk, ledger, clock, and everyone who signs here: key, certificate, lease."""
        found = checks(station, signers)
        is_ready = all(check.is_ok for check in found)
        metrics.ready.set(is_ready)
        if not is_ready:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Readiness(is_ready=is_ready, checks=found)

    @application.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The counts"}},
        summary="What was counted since the start, for Prometheus",
    )
    def count() -> Response:
        """Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _order(station: Station, wanted: IdentityRequest) -> Order:
    return station.order(device=wanted.device, model=wanted.model, authority=wanted.authority)


def _ready(station: Station, order: Order) -> IssuingAuthority:
    """The authority, before anything is recorded: one that cannot sign is nothing the line did wrong."""
    try:
        return station.authority(order.authority)
    except (ProvisioningError, OSError) as error:
        raise _ProblemError(Problem.unready(error, device=order.device)) from error


def _unknown(device: str) -> Problem:
    detail = f"device {device} has no identity in this ledger; issue one, or ask the station that did"
    return Problem.plain(HTTPStatus.NOT_FOUND, detail, kind="unknown", device=device)


def _invalid(_request: Request, error: Exception) -> Response:
    """Which field, and the rule; never the value, which may be a megabyte or somebody's key."""
    told = error.errors() if isinstance(error, RequestValidationError) else []
    wrong = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in told)
    return _answer(Problem.plain(HTTPStatus.UNPROCESSABLE_ENTITY, wrong, kind="invalid"))


def _elsewhere(request: Request, error: Exception) -> Response:
    """No such path, no such method there, or a body that is no text."""
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    if status is HTTPStatus.BAD_REQUEST:
        return _answer(
            Problem.plain(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is no JSON in UTF-8; send that", kind="invalid")
        )
    headers = error.headers if isinstance(error, HTTPException) else None
    detail = f"{request.method} {request.url.path}: {status.phrase.lower()}; GET /openapi.json describes what there is"
    return _answer(Problem.plain(status, detail), headers)


def _answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(
        problem.model_dump(mode="json"), problem.status, headers=dict(headers or {}), media_type=PROBLEM_TYPE
    )


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {PROBLEM_TYPE: {"schema": _PROBLEM_SCHEMA}}}


_PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}
_EVERYWHERE = {
    HTTPStatus.UNAUTHORIZED: "The token is missing or wrong",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "More than this API reads",
    HTTPStatus.MISDIRECTED_REQUEST: "Asked under another name than this machine's own",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request is not one, or the factory does not make what it asks for",
    HTTPStatus.SERVICE_UNAVAILABLE: "This station or the cloud cannot, or too many ask at once (`/problems/busy`, with "
    "`Retry-After`); the problem says who must act",
}
_SIGNING: dict[int | str, dict[str, Any]] = {409: _problem("It contradicts what the ledger holds")}
_OF_A_DEVICE: dict[int | str, dict[str, Any]] = {404: _problem("This ledger has no identity of that device")}


def _describe(application: FastAPI) -> None:
    """The description with the token, and problems in place of the framework's own errors."""
    document = application.openapi()
    parts = document["components"]
    parts["schemas"]["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts["schemas"] |= parts["schemas"]["Problem"].pop("$defs", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(unused, None)
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].get("422", {}).get("content", {}).pop("application/json", None)
    application.openapi_schema = document
