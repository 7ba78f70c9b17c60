"""A kernel over a file, served at both doors of this process, and clients with the owner's token."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from grpc import aio

from ontomesh_chassis.health import Health
from ontomesh_chassis.home import create_home_identity
from ontomesh_chassis.keys import mint
from ontomesh_chassis.outbound import OutboundFilter
from ontomesh_chassis.server import Addresses, serve
from ontomesh_chassis.stages import Pipeline
from ontomesh_chassis.stopping import StopRequests
from ontomesh_chassis.tokens import open_authenticator
from ontomesh_data_kernel.adapters.sqlite import open_store
from ontomesh_data_kernel.adapters.validators import ValidatorChecks
from ontomesh_data_kernel.config import KernelSettings
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.doors.errors import error_table
from ontomesh_data_kernel.doors.grpc import grpc_services
from ontomesh_data_kernel.doors.http import create_http_app


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder whose owner is `user:ana`."""
    folder = tmp_path / "home"
    create_home_identity(folder, "ana")
    return folder


@pytest.fixture
def authorization(home: Path) -> str:
    """The owner's, as both doors take it."""
    return f"Bearer {mint(json.loads((home / 'signing-key.json').read_text('utf-8')), 'user:ana')}"


@pytest.fixture
async def kernel(home: Path) -> AsyncIterator[Kernel]:
    """A kernel over an empty store."""
    checks = ValidatorChecks(OutboundFilter())
    made = Kernel(await open_store(home / "data" / "kernel.db"), checks=checks)
    yield made
    await made.close()


@pytest.fixture
async def served(home: Path, kernel: Kernel) -> AsyncIterator[Addresses]:
    """Both doors of the kernel, on free ports. What a test puts in the kernel's place must be there before."""
    settings = KernelSettings(home=home, grpc_port=0, http_port=0)
    pipeline = Pipeline.of(settings, open_authenticator(settings), error_table())
    health, stop = Health(), StopRequests()
    started: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve(
            settings,
            pipeline=pipeline,
            health=health,
            grpc_services=grpc_services(kernel),
            http_app=create_http_app(kernel, pipeline, health, "1"),
            on_started=started.set_result,
            stop=stop,
        )
    )
    waiting: set[asyncio.Future[Any]] = {task, started}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    yield started.result()
    stop.request("end of test")
    await task


@pytest.fixture
async def http(served: Addresses, authorization: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the HTTP door."""
    async with httpx.AsyncClient(base_url=served.http, headers={"authorization": authorization}) as client:
        yield client


@pytest.fixture
async def channel(served: Addresses) -> AsyncIterator[aio.Channel]:
    """A channel to the gRPC door."""
    async with aio.insecure_channel(served.grpc) as made:
        yield made
