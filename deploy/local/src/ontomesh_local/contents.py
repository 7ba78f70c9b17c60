"""What a kernel holds already, counted up to a limit that keeps a start short."""

from dataclasses import dataclass
from pathlib import Path

from ontomesh.sdk import connect
from ontomesh.sdk.errors import BranchNotFound

MAX_COUNTED = 20_000
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Contents:
    """One database, by what its branch `main` holds."""

    database: str
    documents: int
    commits: int

    def __str__(self) -> str:
        return f"{self.database}: {_count(self.documents, 'document')} in {_count(self.commits, 'commit')} on main"


async def contents(address: str, home: Path) -> list[Contents]:
    """Every database that the owner of the home folder may read."""
    found: list[Contents] = []
    # The owner's own token: the environment may hold one for another place.
    token = (home / "token").read_text("utf-8").strip()
    async with connect(address, token=token) as mesh:
        async for database in mesh.databases.list():
            handle = mesh.database(database.name)
            documents = commits = 0
            try:
                async for _document in handle.documents(page_size=_PAGE):
                    documents += 1
                    if documents == MAX_COUNTED:
                        break
                async for _commit in handle.log():
                    commits += 1
                    if commits == MAX_COUNTED:
                        break
            except BranchNotFound:
                continue
            found.append(Contents(database.name, documents, commits))
    return found


def _count(number: int, noun: str) -> str:
    more = " or more" if number == MAX_COUNTED else ""
    return f"{number:,}{more} {noun if number == 1 else noun + 's'}"
