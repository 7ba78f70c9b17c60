"""Binding addresses: a taken one is told plainly, with the setting that chooses another."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import NoReturn

import grpc
from grpc import aio

from ontomesh_chassis.settings import ServiceSettings, variable
from ontomesh_chassis.startup import ConfigError, PortTakenError

BACKLOG = 1024


def join(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind_http(settings: ServiceSettings) -> socket.socket:
    """The HTTP door's listening socket. Raises PortTakenError or ConfigError."""
    return _bind(settings.host, settings.http_port, variable(type(settings), "http_port"))


def bind_grpc(server: aio.Server, settings: ServiceSettings) -> int:
    """Binds the gRPC door and returns its port. Raises PortTakenError or ConfigError."""
    address = join(settings.host, settings.grpc_port)
    credentials = _credentials(settings)
    # gRPC says only that it failed, in a log line of its own: binding the same address by hand first tells why.
    _bind(settings.host, settings.grpc_port, variable(type(settings), "grpc_port")).close()
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as fault:
        raise ConfigError(f"cannot listen at {address}: {fault}") from fault


def _bind(host: str, port: int, setting: str) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as fault:
        raise ConfigError(f"ONTOMESH_HOST: {host!r}: {fault.strerror}") from fault
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as fault:
        listener.close()
        _explain(fault, join(host, port), setting)
    return listener


def _explain(fault: OSError, address: str, variable: str) -> NoReturn:
    if fault.errno == errno.EADDRINUSE:
        raise PortTakenError(f"{address} is taken by another process; choose another with {variable}") from fault
    if fault.errno == errno.EADDRNOTAVAIL:
        raise ConfigError(f"{address}: this machine has no such address (ONTOMESH_HOST)") from fault
    raise ConfigError(f"cannot listen at {address}: {fault.strerror} ({variable})") from fault


def _credentials(settings: ServiceSettings) -> grpc.ServerCredentials | None:
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if certificate is None and key is None:
        if settings.tls_client_ca_file is not None:
            raise ConfigError("ONTOMESH_TLS_CLIENT_CA_FILE needs ONTOMESH_TLS_CERT_FILE and ONTOMESH_TLS_KEY_FILE")
        return None
    if certificate is None or key is None:
        raise ConfigError("ONTOMESH_TLS_CERT_FILE and ONTOMESH_TLS_KEY_FILE are needed together")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
        client_ca = None if settings.tls_client_ca_file is None else settings.tls_client_ca_file.read_bytes()
        pair = (key.read_bytes(), certificate.read_bytes())
    except ssl.SSLError as fault:
        raise ConfigError(f"{certificate} and {key} are no certificate and its key (ONTOMESH_TLS_CERT_FILE)") from fault
    except OSError as fault:
        raise ConfigError(f"{fault.filename or certificate}: {fault.strerror} (ONTOMESH_TLS_*_FILE)") from fault
    return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)
