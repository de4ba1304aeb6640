"""Run MiniStack with every listener on loopback; the program of one cell's process.

MiniStack binds its MQTT listener, and some others, to every interface of the machine. A desk must not offer a cloud
that accepts any credentials to the network it stands in, so sockets of this process bind to loopback or not at all.
Started by its path, with `-P`: it needs MiniStack and the standard library only.
"""

import errno
import ipaddress
import logging
import os
import runpy
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from pathlib import Path
from typing import Any
from urllib.parse import unquote

_LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_CONNECTIONS = "/connections/"
_ADMINISTRATIVE_ACTION = 0x98
"""MQTT 5, section 3.14.2.1: the connection is closed by an administrator."""
INVOCATIONS_AT_ONCE = 2
"""Of one function, for topic rules. Each is a process of about 80 MB that takes a second of CPU to start (measured)."""
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - what is replaced, not what is bound


def loopback_address(family: int, address: Any) -> Any:
    """The address to bind instead: loopback for "every interface", itself if it is loopback, else `OSError`."""
    loopback = _LOOPBACK.get(socket.AddressFamily(family))
    if loopback is None:
        return address
    host, *rest = address
    if host in _EVERYWHERE:
        return (loopback, *rest)
    if host == "localhost" or ipaddress.ip_address(host).is_loopback:
        return address
    raise OSError(errno.EADDRNOTAVAIL, f"a cell of the desk listens on loopback only, not on {host}")


def keep_to_loopback() -> None:
    """Make every later `bind` of this process go through `loopback_address`."""
    bind = socket.socket.bind

    def bind_to_loopback(self: socket.socket, address: Any, /) -> None:
        bind(self, loopback_address(self.family, address))

    socket.socket.bind = bind_to_loopback  # type: ignore[assignment,method-assign]  # the one place every library goes through


def count_loopback_as_tls() -> None:
    """Judge every request as one over TLS: policies that refuse plaintext hold here too, and nothing leaves loopback.

    On AWS each endpoint is TLS. The desk's is not, and without this every bucket that wants TLS would refuse the very
    functions that write to it.
    """
    from ministack.core import iam_evaluator  # noqa: PLC0415 - only a cell's process has it loaded, after the sockets

    pin = iam_evaluator.pin_request_origin

    def pin_as_tls(source_ip: str, _secure_transport: object) -> None:
        pin(source_ip, secure_transport=True)

    iam_evaluator.pin_request_origin = pin_as_tls


def offer_delete_connection() -> None:
    """Answer `DeleteConnection`, which MiniStack lacks: the client is told and cut off, as AWS does it.

    Without it the session of a revoked certificate would stay open here for ever. With `cleanSession` the stored
    session goes too, also that of a client that has left: then only its messages end here, and the answer is still
    that it is not connected.
    """
    from ministack.core.responses import (  # noqa: PLC0415 - only a cell's process has it loaded, after the sockets
        error_response_json,
        get_account_id,
        get_region,
    )
    from ministack.services import iot, iot_data  # noqa: PLC0415 - likewise

    handle = iot_data.handle_request

    async def handle_or_cut(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> tuple[Any, ...]:
        if method != "DELETE" or not path.startswith(_CONNECTIONS):
            answer: tuple[Any, ...] = await handle(method, path, headers, body, query)
            return answer
        client_id = unquote(path.removeprefix(_CONNECTIONS))
        key = (get_account_id(), get_region(), client_id)
        session = iot._connected_clients.get(key)  # noqa: SLF001 - see above
        if _is_true(query.get("cleanSession")):
            iot._persistent_sessions.pop(key, None)  # noqa: SLF001 - likewise
            if session is not None:
                session._persist_session = False  # noqa: SLF001 - it is stored again when the client goes
        if session is None:
            refusal: tuple[Any, ...] = error_response_json(
                "ResourceNotFoundException", f"{client_id} is not connected", 404
            )
            return refusal
        session._forced_disconnect_reason = "API_INITIATED_DISCONNECT"  # noqa: SLF001 - as MiniStack's own take-over
        if session.protocol_version == iot.MQTT_5:
            await session.send_bytes(iot._make_disconnect(_ADMINISTRATIVE_ACTION))  # noqa: SLF001 - likewise
        await session._send({"type": "websocket.close", "code": 1000})  # noqa: SLF001 - likewise
        await session.cleanup()
        return 200, {"Content-Type": "application/json"}, b"{}"

    iot_data.handle_request = handle_or_cut


def queue_rule_invocations() -> None:
    """Let what topic rules hand to a function wait its turn, as AWS's asynchronous invocation does.

    MiniStack starts a thread for each message, and for each thread that finds no idle worker a Python process of its
    own: a hundred devices that publish in one second had it starve them all until they timed out, and lose what
    they were given.
    """
    from ministack.services import iot, lambda_svc  # noqa: PLC0415 - only a cell's process has it, after the sockets

    turns: dict[str, ThreadPoolExecutor] = {}

    def dispatch(account_id: str, region: str, function_arn: str, event: Any) -> None:
        function, settings, _name = lambda_svc._get_func_record_for_ref_in_scope(  # noqa: SLF001 - as MiniStack's own
            function_arn, account_id=account_id, region=region
        )
        if not function or not settings:
            logging.getLogger(__name__).warning("a topic rule names %s, and there is no such function", function_arn)
            return
        record = lambda_svc._execution_record_for_config(function, settings)  # noqa: SLF001 - likewise
        if function_arn not in turns:
            turns[function_arn] = ThreadPoolExecutor(INVOCATIONS_AT_ONCE)
        # A context of its own: the next invocation on this thread must not run in this one's account.
        turns[function_arn].submit(Context().run, lambda_svc._execute_function_with_config_scope, record, event)  # noqa: SLF001

    iot._dispatch_rule_to_lambda = dispatch  # noqa: SLF001 - likewise


def _is_true(value: Any) -> bool:
    """A query parameter as it arrives: a text, or a list of one."""
    text = value[0] if isinstance(value, list) and value else value
    return str(text).lower() == "true"


def main(folder: Path) -> None:
    """Run MiniStack, as its environment configures it, from `folder`."""
    os.umask(0o077)
    os.chdir(folder)
    keep_to_loopback()
    count_loopback_as_tls()
    offer_delete_connection()
    queue_rule_invocations()
    sys.argv = ["ministack"]
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
