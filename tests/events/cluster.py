"""Three NATS nodes by the configuration that deploy/nats holds, with certificates of their own."""

import asyncio
import datetime
import ipaddress
import secrets
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nats
import nats.errors
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from nats.aio.client import Client
from nats.js.api import ClusterInfo
from nats.js.errors import APIError

from tests.events.serving import Nats, nats_command

NODE_CONF = Path(__file__).resolve().parents[2] / "deploy" / "nats" / "node.conf"
LOOPBACK = "127.0.0.1"
START_SECONDS = 60
POLL_SECONDS = 0.05


@dataclass
class Node:
    """One node, on the same ports and folder however often it is started."""

    name: str
    folder: Path
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Starts it; whether it serves is the cluster's to say."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(
                nats_command(NODE_CONF),
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """Ends it with SIGKILL and waits for the end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class Cluster:
    """The nodes, and what a client needs to reach them."""

    nodes: list[Node]
    token: str
    authority: Path

    @property
    def urls(self) -> list[str]:
        """Every node's address."""
        return [f"tls://{LOOPBACK}:{node.port}" for node in self.nodes]

    @property
    def broker(self) -> Nats:
        """A node as the gateway's fixture takes it; `settings` say the rest."""
        return Nats(self.nodes[0].folder, self.nodes[0].port, self.token)

    @property
    def settings(self) -> dict[str, str]:
        """What a gateway needs in its environment."""
        return {
            "ONTOMESH_NATS_URL": ",".join(self.urls),
            "ONTOMESH_NATS_REPLICAS": "3",
            "SSL_CERT_FILE": str(self.authority),
        }

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """A client of whichever nodes are there."""
        trusted = ssl.create_default_context(cafile=str(self.authority))
        client = await nats.connect(
            self.urls, tls=trusted, token=self.token, max_reconnect_attempts=-1, error_cb=_ignored, connect_timeout=5
        )
        try:
            yield client
        finally:
            await client.close()

    async def led(self, stream: str, replicas: int = 3) -> ClusterInfo:
        """How a stream stands, once it has a leader and so many of its replicas are up to date."""
        async with asyncio.timeout(START_SECONDS), self.connected() as client:
            while True:
                try:
                    found: ClusterInfo | None = (await client.jetstream(timeout=2).stream_info(stream)).cluster
                except (nats.errors.Error, APIError):
                    found = None
                if found is not None and found.leader and _current(found) >= replicas:
                    return found
                await asyncio.sleep(POLL_SECONDS)

    def node(self, name: str) -> Node:
        """A node by its name."""
        return next(node for node in self.nodes if node.name == name)


@asynccontextmanager
async def running_cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Runs three nodes for a block, once they serve streams; everything of theirs lies in the folder."""
    authority = _make_certificates(folder)
    token = secrets.token_hex(8)
    ports = _free_ports(6)
    clients, routes = ports[:3], ports[3:]
    nodes = []
    for index in range(3):
        others = [f'"tls://{LOOPBACK}:{routes[other]}"' for other in range(3) if other != index]
        place = folder / f"n{index + 1}"
        environment = {
            "NATS_NAME": place.name,
            "NATS_LISTEN": f'"{LOOPBACK}:{clients[index]}"',
            "NATS_CLUSTER_LISTEN": f'"{LOOPBACK}:{routes[index]}"',
            "NATS_ROUTE_1": others[0],
            "NATS_ROUTE_2": others[1],
            "NATS_TOKEN": f'"{token}"',
            "NATS_TLS_CERT": f'"{folder / "node.pem"}"',
            "NATS_TLS_KEY": f'"{folder / "node.key"}"',
            "NATS_TLS_CA": f'"{authority}"',
            "NATS_STORE": f'"{place}"',
            "NATS_MAX_STORE": str(8 << 30),
            "NATS_SYNC_INTERVAL": "always",
        }
        nodes.append(Node(place.name, place, clients[index], environment))
    cluster = Cluster(nodes, token, authority)
    try:
        for node in nodes:
            node.start()
        await _serving(cluster)
        yield cluster
    finally:
        for node in nodes:
            node.kill()


async def _serving(cluster: Cluster) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                async with cluster.connected() as client:
                    await client.jetstream(timeout=2).account_info()
                    return
            except (OSError, nats.errors.Error, APIError):
                await asyncio.sleep(POLL_SECONDS)


def _current(found: ClusterInfo) -> int:
    return 1 + sum(bool(peer.current) for peer in found.replicas or ())


async def _ignored(_error: Exception) -> None:
    """Nodes come and go here."""


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]


def _make_certificates(folder: Path) -> Path:
    """An authority, and a certificate for every node of this machine; the authority's file."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, node_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("authority", authority_key, "authority", authority_key)
    node = _certificate("node", node_key, "authority", authority_key)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    (folder / "node.pem").write_bytes(node.public_bytes(pem))
    (folder / "node.key").write_bytes(node_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "authority.pem"


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    is_authority = name == issuer
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if is_authority:
        no = False
        usage = x509.KeyUsage(no, no, no, no, no, key_cert_sign=True, crl_sign=True, encipher_only=no, decipher_only=no)
        builder = builder.add_extension(usage, critical=True)
    else:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
