"""The stores that the suite runs on, and what makes a run repeatable: its clock, its ids, the names of its databases.

`sqlite` is a file of the test's own. `terminusdb` is the server that ONTOMESH_TEST_TERMINUSDB_URL names (one run at a
time), or else a replay of what one answered: `make record-terminusdb` makes the recordings.
"""

import itertools
import os
import random
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

import httpx

from ontomesh_data_kernel.adapters.opening import OpenStore, open_store
from ontomesh_data_kernel.adapters.terminusdb import read_url
from tests.contract.exchanges import ORGANIZATION, Recorder, replaying, serving_exchanges

SERVER = os.environ.get("ONTOMESH_TEST_TERMINUSDB_URL", "")
RECORDINGS = Path(__file__).with_name("recordings")
RECORD_TO = os.environ.get("ONTOMESH_TEST_RECORD_TO", "")
"""The folder for new recordings, if they are to be made."""

START = 1_767_225_600_000_000
"""When the tests' clock begins: 2026, in microseconds."""

_TICK = 1_000
_ATTEMPTS = 40
_PAUSE_SECONDS = 0.02


@dataclass
class StoreInUse:
    """The store of one test; `address` is empty for a file."""

    kind: str
    test: str
    folder: Path
    address: str = ""
    clock: Callable[[], int] = field(init=False)
    random_id: Callable[[], str] = field(init=False)

    def __post_init__(self) -> None:
        drawn = random.Random(self.test)
        self.clock = itertools.count(START, _TICK).__next__
        self.random_id = lambda: urlsafe_b64encode(drawn.randbytes(16)).rstrip(b"=").decode()

    def url(self, path: Path) -> str:
        """The URL of the store of a path: a file there, or databases of the server with names of their own."""
        if not self.address:
            return f"sqlite:///{path}"
        place = path.relative_to(self.folder) if path.is_relative_to(self.folder) else path
        return _with_prefix(self.address, f"{_prefix(self.test)}{_digest(str(place))}-")

    async def open(self, path: Path, clock: Callable[[], int] | None = None) -> OpenStore:
        """The store of a path, which tells the time by the test's clock or another."""
        return await open_store(self.url(path), clock=clock or self.clock)


_in_use: list[StoreInUse] = []


def store_in_use() -> StoreInUse:
    """The store of the test that runs; it asks for the fixture `store`."""
    assert _in_use, "the test or its module lacks the fixture `store`"
    return _in_use[-1]


def served_url(path: Path) -> str:
    """The URL of the store of a kernel in a process of its own: a file, or the named server."""
    return _with_prefix(SERVER, f"{_digest(str(path))}-") if SERVER else f"sqlite:///{path}"


@contextmanager
def using(kind: str, test: str, folder: Path) -> Iterator[StoreInUse]:
    """Makes a kind of store the one in use for a block, the test's."""
    opened = _file if kind == "sqlite" else _recorder if RECORD_TO else _server if SERVER else _replay
    with opened(test) as address:
        _in_use.append(StoreInUse(kind, test, folder, address))
        try:
            yield _in_use[-1]
        finally:
            _in_use.pop()


@contextmanager
def _file(test: str) -> Iterator[str]:
    yield ""


@contextmanager
def _server(test: str) -> Iterator[str]:
    """The server, without what an earlier run of the test left there."""
    _drop_databases(_prefix(test))
    yield SERVER
    _drop_databases(_prefix(test))


@contextmanager
def _recorder(test: str) -> Iterator[str]:
    recorder, to = Recorder(SERVER), read_url(SERVER)
    with _server(test), serving_exchanges(recorder) as port:
        yield f"terminusdb://{quote(to.user)}:{quote(to.password, safe='')}@127.0.0.1:{port}/{to.organization}"
    recorder.write(Path(RECORD_TO) / _file_name(test))


@contextmanager
def _replay(test: str) -> Iterator[str]:
    path = RECORDINGS / _file_name(test)
    assert path.exists(), f"there is no recording of {test}: name a server and run `make record-terminusdb`"
    with replaying(path) as port:
        yield f"terminusdb://{ORGANIZATION}:none@127.0.0.1:{port}/{ORGANIZATION}"


def _file_name(test: str) -> str:
    return re.sub(r"[^\w.-]+", "-", test).strip("-") + ".jsonl"


def _prefix(test: str) -> str:
    return f"t{_digest(test)}-"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=4).hexdigest()


def _with_prefix(url: str, prefix: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}prefix={prefix}"


def _drop_databases(prefix: str) -> None:
    server = read_url(SERVER)
    query = f'{{UserDatabase(filter:{{name:{{startsWith:"{prefix}"}}}}){{name}}}}'
    with httpx.Client(
        base_url=f"{server.url}/api/",
        auth=(server.user, server.password),
        verify=server.certificate or True,
        headers={"connection": "close"},
        timeout=60,
    ) as client:
        for attempt in range(_ATTEMPTS):
            told = client.post("graphql/_system", json={"query": query}).raise_for_status().json()
            names = [database["name"] for database in told["data"]["UserDatabase"]]
            if not names:
                return
            # Deletions collide with whatever else the server does, and are then refused.
            time.sleep(_PAUSE_SECONDS * attempt)
            for name in names:
                client.delete(f"db/{server.organization}/{name}", params={"force": "true"})
    raise AssertionError(f"the server does not delete {names}")
