"""What the kernel keeps beside the databases: which there are, when branches were made, and requests answered.

They lie in a database of the server's that only the kernel uses; so do, in another one, the values of `ports.State`. A
record is text under a key, changed only if it
still is what the writer saw.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ontomesh_data_kernel.adapters.terminusdb import woql
from ontomesh_data_kernel.adapters.terminusdb.client import ATTEMPTS, Client, Refused, pause, persist
from ontomesh_data_kernel.errors import StoreUnavailable

DATABASE, BRANCH, REQUEST = "Database", "Branch", "Request"
STATE = "State"
_KINDS = {"ontomesh-records": (DATABASE, BRANCH, REQUEST), "ontomesh-state": (STATE,)}


@dataclass(frozen=True, slots=True)
class Swap:
    """A change of one record, from what it must be (None: absent) to what it becomes (None: gone)."""

    kind: str
    key: str
    old: str | None
    new: str | None


class Records:
    """Records of one organisation and prefix, in the database of a name, which is made when it is first asked."""

    def __init__(self, client: Client, name: str = "ontomesh-records") -> None:
        self._client = client
        self._name = client.server.prefix + name
        self._kinds = _KINDS[name]
        self._is_open = False

    async def exist(self) -> bool:
        """Whether there is a database for them."""
        try:
            await self._client.ask("HEAD", self._client.path("db", self._name))
        except Refused as error:
            if error.status != 404:
                raise
            return False
        return True

    async def open(self) -> None:
        """Make the database for them if need be, though others do so too at this moment. Raises StoreUnavailable."""
        for attempt in range(ATTEMPTS):
            try:
                await self._open()
            except Refused as error:
                # Of two that make it, the server may answer one that it failed, or that the other's is half there.
                is_race = error.status >= 500 or error.kind == "UnresolvableAbsoluteDescriptor"
                if not is_race or attempt == ATTEMPTS - 1:
                    raise
                await pause(attempt)
            else:
                return

    async def _open(self) -> None:
        """Make the database for them, or what it lacks, unless it is known to be there."""
        if self._is_open:
            return
        client, path = self._client, self._client.path("document", self._name)
        try:
            answer = await client.ask("GET", path, query={"graph_type": "schema", "as_list": "true"})
            known = {element.get("@id") for element in answer.json()}
        except Refused as error:
            if error.kind != "UnknownDatabase":
                raise
            known = set()
            await self._create()
        missing = [kind for kind in self._kinds if kind not in known]
        if missing:
            classes = [
                {"@type": "Class", "@id": kind, "@key": {"@type": "Random"}, "value": "xsd:string"} for kind in missing
            ]
            query = {"graph_type": "schema", "author": "ontomesh", "message": "Records", "create": "true"}
            await client.insist("PUT", path, body=classes, query=query)
        self._is_open = True

    async def _create(self) -> None:
        body = {"label": self._name, "comment": "What Ontomesh keeps beside its databases", "schema": True}
        try:
            await self._client.insist("POST", self._client.path("db", self._name), body=body)
        except Refused as error:
            if error.kind != "DatabaseAlreadyExists":
                raise

    async def get(self, kind: str, key: str) -> str | None:
        """A record's text, None if there is none."""
        await self._open()
        try:
            query = {"id": _id(kind, key)}
            answer = await self._client.ask("GET", self._client.path("document", self._name), query=query)
        except Refused as error:
            if error.kind == "DocumentNotFound":
                return None
            raise
        return str(answer.json()["value"])

    async def list(self, kind: str) -> Sequence[str]:
        """All texts of a kind, in no order."""
        await self._open()
        query = {"type": kind, "as_list": "true"}
        answer = await self._client.ask("GET", self._client.path("document", self._name), query=query)
        return [one["value"] for one in answer.json()]

    async def swap(self, *swaps: Swap) -> bool:
        """Change records, all or none; False if one of them is not what it must be."""
        await self._open()
        changes: list[dict[str, Any]] = []
        for swap in swaps:
            node = woql.node(_id(swap.kind, swap.key))
            present = woql.triple(node, "value", woql.variable(f"Any{len(changes)}"))
            changes.append(
                woql.negation(present) if swap.old is None else woql.triple(node, "value", woql.text(swap.old))
            )
        for index, swap in enumerate(swaps):
            id = _id(swap.kind, swap.key)
            if swap.new is None:
                changes.append(woql.delete(id))
            else:
                document = {"@type": swap.kind, "@id": id, "value": swap.new}
                changes += woql.write(index, woql.json_text(document), insert=swap.old is None)
        ref = ("local", "branch", "main")
        try:
            written = await persist(
                lambda: woql.commit(self._client, self._name, ref, changes, author="ontomesh", message="Records")
            )
        except Refused as error:
            if error.lost_race:
                raise StoreUnavailable(f"others wrote to the records first, {ATTEMPTS} times") from error
            if error.kind in ("DocumentIdAlreadyExists", "DocumentNotFound"):
                return False
            raise
        return written is not None


def _id(kind: str, key: str) -> str:
    return f"{kind}/{quote(key, safe='')}"


def joined(parts: Iterable[str]) -> str:
    """A key of several parts."""
    return "/".join(quote(part, safe="") for part in parts)
