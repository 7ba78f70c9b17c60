"""`ontomesh token`: making tokens with the stack's signing key, and looking at the one in use."""

import json
import os
import re
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli.context import Session
from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.inputs import duration
from ontomesh.cli.options import Scope, command, group
from ontomesh.cli.output import count, local_time

if TYPE_CHECKING:
    from jwt.api_jwk import PyJWK

app = group("token", "Make tokens, and look at the one in use.")

AUDIENCE = "ontomesh"
RIGHTS = ("read", "write", "admin", "act", "publish", "consume")

_PRINCIPAL = re.compile(r"(?P<kind>user|service):(?P<name>[A-Za-z0-9._@+-]{1,128})")
_RIGHT = re.compile(rf"(?:{'|'.join(RIGHTS)}|\*)(?::[^\s\[\]/]+(?:/[^\s\[\]/]+)*)?")


@command(
    app,
    "create",
    scope=Scope.LOCAL,
    examples=(
        "token create --principal user:bob --right read:catalog --expires 8h",
        "token create --principal service:importer --right read --right 'write:catalog/feature/*' --out importer.token",
        "token create --principal service:shop --right 'publish:shop.*' --right 'consume:shop.*/billing'",
    ),
)
def create(
    session: Session,
    principal: Annotated[str, typer.Option("--principal", metavar="user:NAME|service:NAME", help="Whom it names.")],
    right: Annotated[
        list[str] | None,
        typer.Option(
            "--right",
            metavar="RIGHT[:DB[/BRANCH]]",
            help="read, write, admin, act or * with DB and BRANCH, publish with TYPE, consume with TYPE and SUBSCRIPTION"
            " in their places; all may be patterns. May be repeated.",
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help="How long it is valid: 30m, 8h, 7d.")
    ] = "8h",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it to this file, readable by you only.")
    ] = None,
) -> None:
    """Make a token, signed with `signing-key.json` of the home folder, and print it and nothing else.

    The server's policy decides what its principal may do, and rights named here narrow that. The policy that a local
    stack makes for itself gives everyone but its owner just what their tokens name.
    """
    match = _PRINCIPAL.fullmatch(principal)
    if match is None:
        raise UsageFailure(
            f"--principal {principal}: expected user:NAME or service:NAME",
            hint="a NAME is 1 to 128 of A-Z a-z 0-9 . _ @ + -",
        )
    for text in right or ():
        if not _RIGHT.fullmatch(text):
            raise UsageFailure(
                f"--right {text}: expected RIGHT[:DATABASE[/BRANCH]], publish[:TYPE] or consume[:TYPE[/SUBSCRIPTION]]",
                hint=f"a RIGHT is one of {', '.join(RIGHTS)} or *",
            )
    now = int(time.time())
    claims: dict[str, object] = {
        "sub": match["name"],
        "kind": match["kind"],
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + duration(expires),
    }
    if right:
        claims["rights"] = right
    token = _signed(claims)
    if out is not None:
        _write_private(out, token)
        session.out.note(f"wrote a token of {principal}, valid until {_moment(claims['exp'])}, to {out}")
    elif session.out.as_json:
        session.out.json({"token": token, "claims": claims})
    else:
        session.out.line(token)


@command(app, "show", scope=Scope.LOCAL, examples=("token show", "token show --json"))
def show(session: Session) -> None:
    """Show what the token in use claims, never the token itself."""
    claims, source = current_claims()
    if claims is None:
        raise UsageFailure(
            f"there is no token in {source}", reason="TOKEN_MISSING", hint="`ontomesh up` makes one on its first run"
        )
    if session.out.as_json:
        session.out.json(
            {"source": source, "principal": principal_of(claims), "expired": is_expired(claims), "claims": claims}
        )
        return
    session.out.line("principal  ", (principal_of(claims), "bold"))
    session.out.line("from       ", source)
    session.out.line("issued     ", _moment(claims.get("iat")))
    session.out.line(
        "expires    ",
        _moment(claims.get("exp")),
        (f"  {remaining(claims)}", "bold red" if is_expired(claims) else "dim"),
    )
    rights = claims.get("rights")
    if isinstance(rights, list):
        session.out.line("rights     ", ", ".join(map(str, rights)))
    else:
        session.out.line("rights     ", "whatever the server's policy gives this principal")


def current_claims() -> tuple[dict[str, object] | None, str]:
    """What the token in use claims, unverified, and where it was found; None if there is none.

    Raises:
        UsageFailure: What was found is no token.
    """
    from ontomesh.sdk.config import find_home, find_token

    token, file, _must_exist = find_token(None, find_home())
    source = "ONTOMESH_TOKEN" if file is None else str(file)
    if file is not None:
        try:
            token = file.read_text("ascii").strip()
        except FileNotFoundError:
            return None, source
        except (OSError, UnicodeDecodeError) as error:
            raise UsageFailure(f"cannot read the token in {file}: {error}") from None
    if not token:
        return None, source
    import jwt

    try:
        claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise UsageFailure(f"what {source} holds is no token: {error}", reason="TOKEN_INVALID") from None
    return claims, source


def principal_of(claims: dict[str, object]) -> str:
    """Whom a token names, as the policy writes it."""
    return f"{claims.get('kind', 'user')}:{claims.get('sub', '')}"


def is_expired(claims: dict[str, object]) -> bool:
    """Whether a token's lifetime is over by this machine's clock."""
    expires = claims.get("exp")
    return isinstance(expires, int | float) and expires <= time.time()


def remaining(claims: dict[str, object]) -> str:
    """How long a token is still valid, for people."""
    expires = claims.get("exp")
    if not isinstance(expires, int | float):
        return ""
    seconds = int(expires - time.time())
    if seconds <= 0:
        return "expired"
    for size, noun in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"in {count(seconds // size, noun)}"
    return f"in {count(seconds, 'second')}"


def _moment(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return "(not said)"
    return local_time(datetime.fromtimestamp(seconds, UTC))


def _signed(claims: dict[str, object]) -> str:
    from ontomesh.sdk.config import find_home

    file = find_home() / "signing-key.json"
    key = _signing_key(file)
    import jwt

    return jwt.encode(claims, key.key, algorithm="EdDSA", headers={"kid": key.key_id})


def _signing_key(file: Path) -> "PyJWK":
    """The private key, if nobody else may read its file."""
    import jwt

    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & 0o077:
                raise UsageFailure(
                    f"{file} may be read by others (mode {mode:04o})",
                    hint=f"`chmod 600 {file}`; if others could have read it, replace the key",
                )
            key = jwt.PyJWK(json.load(opened))
    except FileNotFoundError:
        raise UsageFailure(
            f"there is no signing key at {file}",
            hint="`ontomesh up` makes one on its first run; ONTOMESH_HOME names another home folder",
        ) from None
    except (OSError, ValueError, jwt.PyJWTError) as error:
        raise UsageFailure(f"cannot use the signing key {file}: {error}") from None
    if key.key_type != "OKP" or not hasattr(key.key, "sign") or not key.key_id:
        raise UsageFailure(f"{file} holds no private Ed25519 key with a `kid`")
    return key


def _write_private(file: Path, token: str) -> None:
    """Writes a file that only its owner can read, from its first moment on."""
    pending = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(token + "\n")
        pending.replace(file)
    except BaseException:
        pending.unlink(missing_ok=True)
        raise
