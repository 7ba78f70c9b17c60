from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.x509.oid import NameOID
from sdk.tests.client.kernel import serving

from ontomesh.sdk import TlsConfig, connect
from ontomesh.sdk.errors import ConfigurationError, ConnectionFailed


class Authority:
    """A certificate authority that lives as long as a test."""

    def __init__(self) -> None:
        self._key = generate_private_key(SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self.pem = self._sign(self._name, self._key, None)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """A key and a certificate, in PEM; for 127.0.0.1 and for `name`."""
        key = generate_private_key(SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))])
        certificate = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, names)
        return (
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            certificate,
        )

    def _sign(
        self, subject: x509.Name, key: EllipticCurvePrivateKey, names: x509.SubjectAlternativeName | None
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def server(authority: Authority, *, mutual: bool) -> grpc.ServerCredentials:
    roots = authority.pem if mutual else None
    return grpc.ssl_server_credentials([authority.issue("kernel")], roots, mutual)


async def test_over_tls_the_token_may_travel(authority: Authority, home: Path) -> None:
    (home / "ca.pem").write_bytes(authority.pem)
    with serving(server(authority, mutual=False)) as kernel:
        async with connect(kernel.address, token="secret", tls=TlsConfig(ca=home / "ca.pem")) as mesh:
            await mesh.database("catalog").get("Package/a")
        assert kernel.seen[0].metadata["authorization"] == "Bearer secret"


async def test_a_client_shows_its_certificate_and_may_expect_another_name(authority: Authority, home: Path) -> None:
    key, certificate = authority.issue("client")
    tls = TlsConfig(ca=authority.pem, certificate=certificate, key=key, server_name="kernel")
    with serving(server(authority, mutual=True)) as kernel:
        async with connect(kernel.address, tls=tls) as mesh:
            assert (await mesh.database("catalog").get("Package/a")).id == "Package/a"


async def test_a_server_of_another_authority_is_not_trusted(authority: Authority, home: Path) -> None:
    with serving(server(authority, mutual=False)) as kernel:
        async with connect(kernel.address, tls=TlsConfig(ca=Authority().pem), retries=False) as mesh:
            with pytest.raises(ConnectionFailed):
                await mesh.database("catalog").get("Package/a")
        assert kernel.seen == []


async def test_a_certificate_without_a_key_or_an_unreadable_file_is_refused(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="or neither"):
        TlsConfig(certificate=b"").credentials()
    with pytest.raises(ConfigurationError, match=r"absent\.pem"):
        TlsConfig(ca=home / "absent.pem").credentials()
