"""Pages: their sizes and tokens, and lists of ids."""

from collections.abc import Iterator

from tests.contract import calls
from tests.contract.calls import Call, HttpCall
from tests.contract.refusals.row import Make, Row, always
from tests.contract.world import DB, forged


def pages() -> Iterator[Row]:
    def listings(token: str, size: int = 0) -> dict[str, Call]:
        return {
            "databases": calls.list_databases(size, token),
            "branches": calls.list_branches(DB, "", size, token),
            "documents": calls.list_documents(DB, "main", "", size, token),
            "commits": calls.list_commits(DB, "main", size, token),
            "diff": calls.diff(DB, "main~", "main", size, token),
            "conflicts": calls.list_conflicts(DB, "ours", "theirs", size, token),
        }

    listings_of: dict[str, tuple[object, ...]] = {
        "databases": ("databases",),
        "branches": ("branches", DB, ""),
        "documents": ("documents", DB, "main", "", False),
        "commits": ("commits", DB, "main", False),
        "diff": ("diff", DB, "main~", "main", False),
        "conflicts": ("conflicts", DB, "ours", "theirs"),
    }

    def paged(name: str, other: str) -> Make:
        return lambda w: listings(w.pages[other])[name]

    def long_log(time: str) -> Make:
        place = listings_of["commits"]
        return lambda w: calls.list_commits(DB, "main", page_token=forged(place, f'["{w.heads["main"]}","{time}",""]'))

    def long_merge(offset: str) -> Make:
        place = listings_of["conflicts"]
        return lambda w: listings(forged(place, f'["{w.heads["ours"]}","{w.heads["theirs"]}","{offset}"]'))["conflicts"]

    for name in listings(""):
        for size in (-1, 1001):
            yield Row(
                f"page size {size} of {name}",
                "INVALID_REQUEST",
                always(listings("", size)[name]),
                ("page_size",),
            )
        for token in ("x", "%%%", "é", "AAAA", "x" * 9_000):
            yield Row(
                f"page token {token:.4} of {name}",
                "INVALID_PAGE_TOKEN",
                always(listings(token)[name]),
                ("page_token",),
            )
        other = "commits" if name != "commits" else "branches"
        yield Row(
            f"page token of {other} for {name}",
            "INVALID_PAGE_TOKEN",
            paged(name, other),
            ("page_token",),
        )
    invalid = "INVALID_PAGE_TOKEN"
    yield Row(
        "page token of another ref",
        invalid,
        lambda w: calls.list_documents(DB, "ours", page_token=w.pages["documents"]),
        ("page_token",),
    )
    yield Row(
        "page token of another class",
        invalid,
        lambda w: calls.list_documents(DB, "main", "Note", 0, w.pages["documents"]),
        ("page_token",),
    )
    yield Row(
        "page token of another database",
        invalid,
        lambda w: calls.list_branches("other", page_token=w.pages["branches"]),
        ("page_token",),
    )
    yield Row(
        "page token of another prefix",
        invalid,
        lambda w: calls.list_branches(DB, "o", page_token=w.pages["branches"]),
        ("page_token",),
    )
    yield Row(
        "page token that was changed",
        invalid,
        lambda w: calls.list_commits(DB, "main", page_token=w.pages["commits"][:-2] + "xx"),
        ("page_token",),
    )
    for name, listing in listings_of.items():
        for text in (
            "7",
            "{}",
            "[]",
            '["a","b","c","d"]',
            "[[1],[2],[3]]",
            "[" * 3_000,
            "{",
            '["\\ud800","\\ud800","\\ud800"]',
        ):
            yield Row(
                f"forged page token {text:.20} of {name}",
                invalid,
                always(listings(forged(listing, text))[name]),
                ("page_token",),
            )
    yield Row(
        "forged token to a commit out of reach",
        invalid,
        lambda w: calls.list_documents(
            DB, "main", page_token=forged(listings_of["documents"], f'["{w.heads["theirs"]}",""]')
        ),
        ("page_token",),
    )
    for time in ("x", "-1", str(1 << 70)):
        yield Row(
            f"forged token of time {time}",
            invalid,
            long_log(time),
            ("page_token",),
        )
        yield Row(
            f"forged token of offset {time}",
            invalid,
            long_merge(time),
            ("page_token",),
        )
    yield Row(
        "page size that is a word",
        "INVALID_REQUEST",
        lambda _: Call("", b"", HttpCall("GET", "/v1/databases", {"page_size": "many"})),
        ("page_size",),
        doors=("http",),
    )
    yield Row("prefix with NUL", "INVALID_REQUEST", lambda _: calls.list_branches(DB, "a\0"), ("prefix",))
    yield Row("no ids", "INVALID_REQUEST", lambda _: calls.batch_get(DB, []), ("ids",))
    yield Row(
        "1,001 ids", "INVALID_REQUEST", lambda _: calls.batch_get(DB, [f"Note/{n}" for n in range(1001)]), ("ids",)
    )
    yield Row("an empty id among them", "INVALID_REQUEST", lambda _: calls.batch_get(DB, ["Note/one", ""]), ("ids[1]",))
    yield Row("an empty id", "INVALID_REQUEST", lambda _: calls.get_document(DB, ""), ("id",), doors=("grpc",))
    yield Row("an id with NUL", "INVALID_REQUEST", lambda _: calls.get_document(DB, "Note/\0"), ("id",))
    yield Row("an id too long", "TOO_LARGE", lambda _: calls.get_document(DB, "Note/" + "x" * 1020), ("id",))
