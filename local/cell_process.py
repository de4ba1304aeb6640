"""Run MiniStack with every listener on loopback; the program of one cell's process.

MiniStack binds its MQTT listener, and some others, to every interface of the machine. A desk must not offer a cloud
that accepts any credentials to the network it stands in, so sockets of this process bind to loopback or not at all.
Started by its path, with `-P`: it needs MiniStack and the standard library only.
"""

import errno
import ipaddress
import os
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

_LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
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


def main(folder: Path) -> None:
    """Run MiniStack, as its environment configures it, from `folder`."""
    os.umask(0o077)
    os.chdir(folder)
    keep_to_loopback()
    count_loopback_as_tls()
    sys.argv = ["ministack"]
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
