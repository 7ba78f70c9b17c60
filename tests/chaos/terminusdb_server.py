"""A TerminusDB server of a test's own, that may be killed: started by the shell command of an environment variable."""

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any

import httpx

COMMAND = os.environ.get("ONTOMESH_TEST_TERMINUSDB_COMMAND", "")
"""How to start a server with an empty or a used {folder} on {port}, in the foreground, with admin's password `root`."""

_START_SECONDS = 60
_SMALLEST_LABEL = 3


class TerminusServer:
    """A server on one folder and port, which may come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def store(self) -> str:
        """The URL of the store on it."""
        return f"terminusdb://admin:root@127.0.0.1:{self.port}/admin"

    async def start(self) -> None:
        """Start it and wait until it answers."""
        command = COMMAND.format(folder=self.folder, port=self.port)
        with self.folder.with_suffix(".log").open("ab") as log:
            self._process = await asyncio.create_subprocess_shell(command, stdout=log, stderr=log, process_group=0)
        async with asyncio.timeout(_START_SECONDS), self._client() as client:
            while not await self._answers(client):
                assert self._process.returncode is None, self.folder.with_suffix(".log").read_text("utf-8")[-2_000:]
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """Kill it as a power cut would, with whatever the command started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            self._process = None

    async def repair(self) -> list[str]:
        """Make good what a kill can do to labels, as `docs/operations-terminusdb.md` says; the files that it did it to.

        A label is truncated and then written: a kill between the two leaves it empty, and its database answers 500.
        """
        found = await asyncio.to_thread(lambda: list(self.folder.rglob("*.label")))
        damaged = [label for label in found if label.stat().st_size < _SMALLEST_LABEL]
        for label in damaged:
            await self._repair(label)
        return [label.name for label in damaged]

    async def _repair(self, label: Path) -> None:
        layers = await asyncio.to_thread(lambda: list(label.parent.rglob("*.larch")))
        async with self._client() as client:
            for layer in sorted(layers, key=lambda one: one.stat().st_mtime, reverse=True):
                await asyncio.to_thread(label.write_text, f"1\n{layer.stem}\n", "utf-8")
                if await self._is_history(client, label.stem.replace("%7c", "/")):
                    return
        raise AssertionError(f"no layer opens as {label.name}")

    async def _is_history(self, client: httpx.AsyncClient, database: str) -> bool:
        """Whether a database opens, with the kernel's commits on `main` if it is one of the kernel's and no other."""
        query = {"query": '{Branch(filter:{name:{eq:"main"}}){head{metadata}}}'}
        answer = await client.post(f"graphql/{database}/local/_commits", json=query)
        told: Any = answer.json() if answer.status_code == 200 else {}
        branches = (told.get("data") or {}).get("Branch")
        if not branches:
            return False
        is_kernels = "ontomesh" in str(branches[0]["head"]["metadata"])
        return is_kernels != database.endswith("ontomesh-records")

    def _client(self) -> httpx.AsyncClient:
        url = f"http://127.0.0.1:{self.port}/api/"
        return httpx.AsyncClient(base_url=url, auth=("admin", "root"), headers={"connection": "close"}, timeout=10)

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get("ok")).status_code == 200
        except httpx.HTTPError:
            return False
