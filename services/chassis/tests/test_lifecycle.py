import asyncio
import datetime
import ipaddress
import json
import os
import signal
import socket
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc import StatusCode, aio
from services.chassis.tests.echo_service import NAME
from services.chassis.tests.running import bearer, process, spawned, until


def refuses_connections(address: str) -> bool:
    host, _, port = address.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_calls_in_flight_finish_and_refuses_new_ones(home: Path, number: signal.Signals) -> None:
    token = bearer(home)
    async with process(home, ECHO_FILE=str(home / "release")) as service:
        call = asyncio.create_task(service.unary("hold", token, 30))
        web = asyncio.create_task(service.http.get("/v1/echo/hold", headers=dict(token), timeout=30))
        await until((home / "release.2").exists)
        service.signal(number)
        for address in (service.addresses.grpc, service.addresses.http):
            await until(partial(refuses_connections, address))
        channel: Any
        async with aio.insecure_channel(service.addresses.grpc) as channel:
            with pytest.raises(aio.AioRpcError) as refused:
                await channel.unary_unary(f"/{NAME}/Unary")(b"a", metadata=token, timeout=5)
        assert refused.value.code() is StatusCode.UNAVAILABLE
        assert not call.done()
        (home / "release").touch()
        assert await call == "hold"
        assert (await web).json()["text"] == "hold"
        code, errors = await service.ended()
        assert code == 0, errors
        assert "drained" in errors


async def test_the_end_of_the_lifeline_drains_and_ends(home: Path) -> None:
    async with process(home) as service:
        os.write(service.lifeline, b"ignored")
        assert await service.unary("a", bearer(home)) == "a"
        os.close(service.lifeline)
        code, errors = await service.ended()
        service.lifeline = os.open(os.devnull, os.O_RDONLY)
        assert code == 0
        assert "the parent is gone" in errors


async def test_calls_over_the_drain_limit_are_cut(home: Path) -> None:
    async with process(home, ONTOMESH_DRAIN_SECONDS="0.3", ECHO_FILE=str(home / "release")) as service:
        call = asyncio.create_task(service.unary("hold", bearer(home), 30))
        await until((home / "release.1").exists)
        service.signal(signal.SIGTERM)
        with pytest.raises(aio.AioRpcError):
            await call
        code, errors = await service.ended()
        assert code == 1
        assert "1 calls were cut" in errors


async def test_a_second_signal_stops_at_once(home: Path) -> None:
    async with process(home, ONTOMESH_DRAIN_SECONDS="100", ECHO_FILE=str(home / "release")) as service:
        call = asyncio.create_task(service.unary("hold", bearer(home), 90))
        await until((home / "release.1").exists)
        service.signal(signal.SIGTERM)
        await until(partial(refuses_connections, service.addresses.grpc))
        service.signal(signal.SIGTERM)
        with pytest.raises(aio.AioRpcError):
            await call
        assert (await service.ended())[0] == 1


async def test_open_but_idle_connections_and_watchers_do_not_hold_up_the_end(home: Path) -> None:
    async with process(home, ONTOMESH_DRAIN_SECONDS="100") as service:
        await service.unary("a", bearer(home))
        await service.http.get("/livez")
        watch = service.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert await watch.read() is not None
        service.signal(signal.SIGTERM)
        assert (await service.ended())[0] == 0


@pytest.mark.parametrize("door", ["GRPC", "HTTP"])
async def test_a_taken_port_is_told_with_its_setting(home: Path, door: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        child = await spawned({"ONTOMESH_HOME": str(home), f"ONTOMESH_{door}_PORT": str(port)})
        _, errors = await child.communicate()
    assert child.returncode == 3
    assert errors.decode() == (
        f"error: 127.0.0.1:{port} is taken by another process; choose another with ONTOMESH_{door}_PORT\n"
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ONTOMESH_HOST", "192.0.2.1"),
        ("ONTOMESH_HOST", "nowhere.invalid"),
        ("ONTOMESH_AUTH_KEYS_FILE", "/nowhere/keys.json"),
        ("ONTOMESH_POLICY_FILE", "/nowhere/policy.toml"),
        ("ONTOMESH_AUTH_JWKS_URL", "http://example.org/keys"),
        ("ONTOMESH_TLS_CERT_FILE", "/nowhere/cert.pem"),
        ("ONTOMESH_TLS_CLIENT_CA_FILE", "/nowhere/ca.pem"),
    ],
)
async def test_an_unusable_setting_ends_the_start_with_one_line(home: Path, variable: str, value: str) -> None:
    child = await spawned({"ONTOMESH_HOME": str(home), variable: value})
    _, errors = await child.communicate()
    assert child.returncode == 2
    (line,) = [line for line in errors.decode().splitlines() if not line.startswith("{")]
    assert line.startswith("error: ")
    assert variable.removesuffix("_FILE").removesuffix("_CERT") in line


async def test_without_keys_a_service_does_not_start(tmp_path: Path) -> None:
    child = await spawned({"ONTOMESH_HOME": str(tmp_path)})
    _, errors = await child.communicate()
    assert child.returncode == 2
    assert b"ONTOMESH_AUTH_KEYS_FILE or ONTOMESH_AUTH_JWKS_URL" in errors


async def test_a_service_logs_json_lines_with_trace_id_and_principal(home: Path) -> None:
    async with process(home, ONTOMESH_LOG_FORMAT="json", ONTOMESH_LOG_LEVEL="DEBUG") as service:
        refused = await service.refused("raise other", (*bearer(home), ("x-request-id", "r1")))
        service.signal(signal.SIGTERM)
        _, errors = await service.ended()
    lines = [json.loads(line) for line in errors.splitlines()]
    (fault,) = [line for line in lines if "exception" in line]
    assert fault["trace_id"] == refused.metadata["trace_id"]
    assert (fault["principal"], fault["request_id"], fault["level"]) == ("user:ana", "r1", "ERROR")
    assert "ZeroDivisionError: the secret is 42" in fault["exception"]
    (access,) = [line for line in lines if line["logger"] == "ontomesh.access" and line["door"] == "grpc"]
    assert (access["code"], access["reason"], access["level"]) == ("INTERNAL", "INTERNAL", "WARNING")


def certificate(folder: Path) -> None:
    """A certificate for this machine that signed itself, and so is its own CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


async def test_tls_guards_both_doors_and_client_certificates_the_grpc_door(home: Path) -> None:
    certificate(home)
    files = {
        "ONTOMESH_TLS_CERT_FILE": str(home / "cert.pem"),
        "ONTOMESH_TLS_KEY_FILE": str(home / "key.pem"),
        "ONTOMESH_TLS_CLIENT_CA_FILE": str(home / "cert.pem"),
    }
    pem, key = (home / "cert.pem").read_bytes(), (home / "key.pem").read_bytes()
    channel: Any
    async with process(home, **files) as service:
        for credentials, works in (
            (grpc.ssl_channel_credentials(pem, key, pem), True),
            (grpc.ssl_channel_credentials(pem), False),
        ):
            async with aio.secure_channel(service.addresses.grpc, credentials) as channel:
                call = channel.unary_unary(f"/{NAME}/Unary")(b"a", metadata=bearer(home), timeout=10)
                if works:
                    assert await call == b"a"
                else:
                    with pytest.raises(aio.AioRpcError):
                        await call
        trusting = ssl.create_default_context(cafile=str(home / "cert.pem"))
        async with httpx.AsyncClient(base_url=service.addresses.http, verify=trusting) as web:
            assert service.addresses.http.startswith("https://")
            assert (await web.get("/livez")).status_code == 200
