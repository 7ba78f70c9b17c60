"""The data kernel as a library, for notebooks, scripts and tests: the SDK's client over a store of this process.

    from ontomesh_data_kernel import embedded

    with embedded.open("facts.db") as mesh:  # in async code: async with
        mesh.databases.create("catalog")

Everything behaves as over a connection: the same checks, commits, errors and limits; there is no server, no token and
no port. Several processes, a server among them, may share one SQLite file.
"""

import getpass
import os
from contextlib import suppress
from pathlib import Path
from typing import cast

import grpc

from ontomesh.sdk.connection import Connection
from ontomesh.sdk.settings import Settings
from ontomesh_chassis.inprocess import LocalChannel, LocalServer
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.main import open_in_process


def open(
    store: str | os.PathLike[str],
    *,
    password: str = "",
    principal: str | None = None,
    timeout: float = 30.0,
    branch: str = "",
    author: str = "",
    outbound_allow: str = "",
) -> Connection:
    """A kernel over a store, opened by `async with` or `with`; leaving that closes it.

    Args:
        store: The path of a file, made if it is not there, or a store's URL (see `ONTOMESH_STORE`).
        password: The store's password, if it needs one.
        principal: Who the calls are by, such as `user:ana`; None for the user of this process. May do everything.
        timeout: The deadline of a call that names none, in seconds.
        branch: What an empty ref or branch means, if not `main`.
        author: Whom commits are by, if not the principal.
        outbound_allow: Networks and hosts that validators may be at (see `ONTOMESH_OUTBOUND_ALLOW`).

    Raises (on entering):
        ontomesh_chassis.startup.ConfigError: The store's URL or file is none that this version knows.
        ontomesh_data_kernel.errors.StoreUnavailable: The store is away.
    """
    text = os.fspath(store)
    url = text if "://" in text else f"sqlite:///{Path(text).absolute()}"
    own = principal or f"user:{_login()}"

    def channel() -> grpc.aio.Channel:
        # The client asks of a channel only what this one has.
        return cast("grpc.aio.Channel", _channel(url, password, own, outbound_allow))

    address = "the store in this process"
    return Connection(Settings(address=address, timeout=timeout, branch=branch, author=author, channel=channel))


def _channel(url: str, password: str, principal: str, outbound_allow: str) -> LocalChannel:
    kernels: list[Kernel] = []

    async def start() -> LocalServer:
        server, kernel = await open_in_process(url, password, principal, outbound_allow)
        kernels.append(kernel)
        return server

    async def end() -> None:
        for kernel in kernels:
            await kernel.close()

    return LocalChannel(start, end)


def _login() -> str:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return "local"


__all__ = ["open"]
