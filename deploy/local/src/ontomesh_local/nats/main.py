"""The wrapper that makes nats-server a service like the others: settings, readiness, lifeline, a clean end."""

import argparse
import asyncio
import json
import logging
import os
import secrets
import sys

from ontomesh_chassis import logs
from ontomesh_chassis.home import read_private, write_private
from ontomesh_chassis.settings import ServiceSettings, load, variable
from ontomesh_chassis.startup import ConfigError, PortTakenError, StartupError
from ontomesh_chassis.stopping import StopRequests
from ontomesh_local.free_ports import free_port
from ontomesh_local.nats.binary import nats_server
from ontomesh_local.nats.config import NatsSettings, config_text
from ontomesh_local.nats.process import Server, ServerEnded
from ontomesh_local.ports import unusable
from ontomesh_local.services import LOOPBACK, NATS, Port, Service

EXIT_CLEAN = 0
EXIT_KILLED = 1

logger = logging.getLogger(__name__)


async def serve_nats(settings: NatsSettings) -> int:
    """Runs the server until this process is asked to stop; returns the exit code, that of a server that ends by itself.

    Raises StartupError.
    """
    port = settings.nats_port or free_port(LOOPBACK)
    _check(port)
    _prepare(settings, port)
    with StopRequests(settings.lifeline_fd) as requests:
        server = await Server.start(nats_server(), settings.config_path, LOOPBACK, port)
        running = asyncio.ensure_future(_serve(settings, server))
        asked = asyncio.ensure_future(requests.asked.wait())
        try:
            await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return _ended(running.result())
            stopping = asyncio.ensure_future(server.stop(settings.drain_seconds))
            insisted = asyncio.ensure_future(requests.insisted.wait())
            await asyncio.wait({stopping, insisted}, return_when=asyncio.FIRST_COMPLETED)
            insisted.cancel()
            if not stopping.done():
                server.kill()
            return EXIT_CLEAN if await stopping >= 0 else EXIT_KILLED
        finally:
            running.cancel()
            asked.cancel()
            server.kill()


async def _serve(settings: NatsSettings, server: Server) -> int:
    """Announces the server once it serves; its exit code once it has ended by itself."""
    try:
        await server.serving()
    except ServerEnded as fault:
        return fault.code
    if settings.ready_fd is not None:
        line = json.dumps({"nats": f"nats://{server.host}:{server.port}", "pid": os.getpid()})
        with os.fdopen(settings.ready_fd, "w") as ready:
            ready.write(f"{line}\n")
    return await server.ended()


def _ended(code: int) -> int:
    logger.error("nats-server ended by itself (%s)", f"exit code {code}" if code >= 0 else f"signal {-code}")
    return abs(code) or EXIT_KILLED


def _check(port: int) -> None:
    """Raises PortTakenError for a port that the server cannot have: whoever has it might answer in its place."""
    setting = variable(NatsSettings, "nats_port")
    service = Service(NATS, "NATS server", (), (Port("NATS", port, setting),))
    for fault in unusable([service], LOOPBACK):
        raise PortTakenError(f"{fault}; choose another with {setting}")


def _prepare(settings: NatsSettings, port: int) -> None:
    """Makes the store's folder, the token and the configuration, for this user alone."""
    try:
        settings.store_path.mkdir(parents=True, exist_ok=True)
        if not settings.token_path.exists():
            write_private(settings.token_path, secrets.token_urlsafe(32) + "\n")
        token = read_private(settings.token_path).strip()
        write_private(settings.config_path, config_text(settings, LOOPBACK, port, token))
    except OSError as fault:
        raise ConfigError(f"{fault.filename or settings.home}: {fault.strerror}") from fault


def main() -> None:
    """Runs the NATS server of a home folder: `python -m ontomesh_local.nats`."""
    _parser().parse_args()
    settings = load(NatsSettings)
    logs.configure(settings.log_format, settings.log_level)
    os.umask(0o077)
    try:
        code = asyncio.run(serve_nats(settings))
    except StartupError as fault:
        sys.stderr.write(f"error: {fault}\n")
        code = fault.exit_code
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    lines = [
        f"  {variable(NatsSettings, name)}\n      {field.description} [{field.default}]"
        for name, field in NatsSettings.model_fields.items()
        if name in {"home", "drain_seconds"} or name not in ServiceSettings.model_fields
    ]
    return argparse.ArgumentParser(
        prog="python -m ontomesh_local.nats",
        description="Run the packaged NATS server with JetStream, on this machine alone, with its data in the home folder.",
        epilog="Settings, from the environment:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
