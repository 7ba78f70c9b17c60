"""The data kernel's process: settings, resources, domain, doors, serve."""

import argparse
import gc
import sys
from contextlib import AsyncExitStack
from importlib.metadata import version

from ontomesh_chassis import logs
from ontomesh_chassis.health import Health
from ontomesh_chassis.inprocess import LocalServer, OwnProcess
from ontomesh_chassis.interceptors import StagedServer
from ontomesh_chassis.outbound import OutboundFilter
from ontomesh_chassis.server import run, serve
from ontomesh_chassis.settings import load, variable
from ontomesh_chassis.stages import Pipeline
from ontomesh_chassis.startup import ConfigError
from ontomesh_chassis.tokens import open_authenticator
from ontomesh_chassis.trace import setup_tracing
from ontomesh_data_kernel.adapters.events import GatewayPublisher
from ontomesh_data_kernel.adapters.opening import OpenStore, open_store, place_of, store_exists
from ontomesh_data_kernel.adapters.relay_metrics import RelayMetrics
from ontomesh_data_kernel.adapters.sqlite import UnknownFormat
from ontomesh_data_kernel.adapters.validators import ValidatorChecks, ValidatorMetrics
from ontomesh_data_kernel.config import KernelSettings
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.doors.errors import error_table
from ontomesh_data_kernel.doors.grpc import grpc_services
from ontomesh_data_kernel.doors.http import create_http_app
from ontomesh_data_kernel.errors import KernelError

SERVICE = "ontomesh-data-kernel"


async def serve_kernel(settings: KernelSettings) -> int:
    """Serve until asked to stop; return the exit code. Raises StartupError."""
    async with AsyncExitStack() as resources:
        tracing = setup_tracing(SERVICE, settings)
        resources.callback(tracing.shutdown)
        try:
            store = await open_store(settings.store_url, settings.read_store_password())
        except (UnknownFormat, KernelError, OSError, ValueError) as error:
            raise ConfigError(f"{variable(KernelSettings, 'store')}: {error}") from error
        pipeline = Pipeline.of(settings, open_authenticator(settings), error_table(), tracing)
        outbound = OutboundFilter.parse(settings.outbound_allow)
        checks = ValidatorChecks(outbound, ValidatorMetrics(pipeline.metrics.registry))
        kernel = Kernel(store, checks=checks)
        resources.push_async_callback(kernel.close)
        if settings.events_address:
            relayed = RelayMetrics(pipeline.metrics.registry)
            publisher = GatewayPublisher(settings.events_address, settings.relay_token_path)
            relayed.watch(kernel.start_relay(publisher, relayed.observe).status)
        health = Health()
        health.add_check("store", store.ping)
        return await serve(
            settings,
            pipeline=pipeline,
            health=health,
            grpc_services=grpc_services(kernel),
            http_app=create_http_app(kernel, pipeline, health, version(SERVICE)),
        )


async def open_in_process(
    url: str, password: str, principal: str, outbound_allow: str = ""
) -> tuple[LocalServer, Kernel]:
    """The kernel's gRPC services over the store of a URL, for calls of this process, which are all the principal's.

    Close the kernel when done. Raises ConfigError, StoreUnavailable.
    """
    try:
        checks = ValidatorChecks(OutboundFilter.parse(outbound_allow))
        kernel = Kernel(await open_store(url, password), checks=checks)
    except (UnknownFormat, OSError, ValueError) as error:
        raise ConfigError(str(error)) from error
    server = LocalServer()
    staged = StagedServer(server, Pipeline(OwnProcess(principal), error_table()))
    for service in grpc_services(kernel):
        service.add(service.servicer, staged)
    return server, kernel


async def open_named(url: str, password: str, *, make: bool) -> OpenStore | None:
    """Open the store of a URL, None if there is none and it is not to be made. Raises ConfigError, StoreUnavailable."""
    try:
        if not make and not await store_exists(url, password):
            return None
        return await open_store(url, password)
    except (UnknownFormat, OSError, ValueError) as error:
        raise ConfigError(str(error)) from error


def is_one_store(url: str, other: str) -> bool:
    """Whether two URLs name the same store. Raises ConfigError."""
    try:
        return place_of(url) == place_of(other)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def main() -> None:
    """Run the data kernel: the command `ontomesh-data-kernel`."""
    _parser().parse_args()
    settings = load(KernelSettings)
    logs.configure(settings.log_format, settings.log_level)
    gc.freeze()  # what is loaded by now stays: looking through it in each full collection would hold everybody for 50 ms
    sys.exit(run(lambda: serve_kernel(settings)))


def _parser() -> argparse.ArgumentParser:
    lines = [
        f"  {variable(KernelSettings, name)}\n      {field.description} [{field.default}]"
        for name, field in KernelSettings.model_fields.items()
    ]
    parser = argparse.ArgumentParser(
        prog=SERVICE,
        description="Serve the data kernel: the one door to the versioned document store, by gRPC and HTTP.",
        epilog="Settings, from the environment:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{SERVICE} {version(SERVICE)}")
    return parser
