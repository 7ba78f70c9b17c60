"""What to do about an error, by its reason."""

from collections.abc import Mapping

from ontomesh.cli.output import short

_HINTS = {
    "TOKEN_MISSING": "a token is looked for in ONTOMESH_TOKEN, in the file that ONTOMESH_TOKEN_FILE names and in "
    "$ONTOMESH_HOME/token (~/.ontomesh/token); `ontomesh up` makes one on its first run",
    "TOKEN_INVALID": "`ontomesh token show` tells what the token claims; this server may trust other keys",
    "TOKEN_EXPIRED": "`ontomesh token show` tells since when; `ontomesh token create` or `ontomesh up` makes another",
    "FORGED_AUTHOR": "leave --author away, or ask for the right `act` on this branch",
    "DATABASE_NOT_FOUND": "`ontomesh db ls` lists what exists, `ontomesh db create NAME` makes one",
    "DATABASE_ALREADY_EXISTS": "`ontomesh db ls` lists what exists",
    "BRANCH_NOT_FOUND": "`ontomesh branch` lists what exists, `ontomesh branch NAME` makes one",
    "BRANCH_ALREADY_EXISTS": "`ontomesh branch` lists what exists; `ontomesh branch -d NAME` deletes one",
    "BRANCH_PROTECTED": "only other branches can be deleted, or the whole database",
    "COMMIT_NOT_FOUND": "`ontomesh log` lists the commits of a branch",
    "INVALID_REF": "a ref is a branch, commit:<at least 8 digits>, either with ~<n> behind it, "
    "or <branch>@<RFC 3339 time>",
    "AMBIGUOUS_REF": "give more digits; `ontomesh log --json` shows whole ids",
    "DOCUMENT_NOT_FOUND": "`ontomesh ls` lists what exists; --ref reads another branch or an older commit",
    "DOCUMENT_ALREADY_EXISTS": "`ontomesh put` replaces what exists",
    "DUPLICATE_OPERATION": "name each document once in a commit",
    "UNKNOWN_CLASS": "`ontomesh schema show` lists the classes, `ontomesh schema apply` adds some",
    "INVALID_DOCUMENT_ID": "leave @id away and the class's key makes it",
    "DANGLING_LINK": "put the missing documents first, or in the same commit",
    "STILL_REFERENCED": "delete or change the documents that link to it in the same commit",
    "UNIQUE_VIOLATION": "change the value, or the document that has it in the same commit; "
    "`ontomesh schema show` tells what is unique",
    "EMPTY_COMMIT": "the branch already holds all of it; there is nothing to do",
    "ETAG_MISMATCH": "somebody changed it meanwhile: read it again, then retry with its new etag",
    "TOO_LARGE": "split it into several commits, or ask for less at once",
    "SCHEMA_VIOLATED_BY_DATA": "mend these documents first, or in the same commit: "
    "`ontomesh commit --schema FILE --put FILE`",
    "UNRELATED_HISTORIES": "a branch made with --empty cannot be merged with branches of another origin",
    "UNKNOWN_CONFLICT": "`ontomesh merge SOURCE --dry-run` lists the conflicts with the arguments that settle them",
    "MERGE_VIOLATION": "change one of the two branches so that the outcome holds, then merge again",
    "QUERY_TOO_COSTLY": "narrow the type or the filter, or declare an index of a property that it compares",
    "IMPORT_NOT_FOUND": "`ontomesh import FILE` begins a new one",
    "IMPORT_INVALID": "mend these lines, then import the file again; nothing of it was committed",
    "IMPORT_CONFLICT": "--overwrite replaces what others changed meanwhile; without it, look at their changes first",
    "IMPORT_OUT_OF_STEP": "is the same import running elsewhere? else import the file again: it resumes",
    "UNSUPPORTED_BY_STORE": "the store behind this kernel cannot do it",
    "STORE_UNAVAILABLE": "try again",
    "STORE_FULL": "make room where the kernel keeps its data, then try again",
    "DRAINING": "the server is shutting down; try again when it is back",
    "CORRUPT": "`ontomesh verify` tells what is damaged; restore it from a copy",
    "INTERNAL": "the server's log has the details under the trace id",
    "COMMIT_REJECTED": "`ontomesh hooks show NAME` tells what the validator checks",
    "VALIDATOR_UNAVAILABLE": "`ontomesh hooks show NAME` tells how the validator fares; try again, or disable it",
    "VALIDATOR_NOT_FOUND": "`ontomesh hooks` lists what exists, `ontomesh hooks add NAME` makes one",
    "ADDRESS_REFUSED": "whoever runs the kernel allows further addresses by ONTOMESH_OUTBOUND_ALLOW",
    "UNKNOWN_EVENT_TYPE": "`ontomesh events types put TYPE` registers it, `ontomesh events types` lists what is",
    "SCHEMA_UNAVAILABLE": "the type's schema is a class: try again when its kernel is back",
    "SUBSCRIPTION_NOT_FOUND": "`ontomesh events subscriptions` lists what exists, "
    "`ontomesh events subscriptions create NAME` makes one",
    "SUBSCRIPTION_ALREADY_EXISTS": "`ontomesh events subscriptions show NAME` shows it",
    "EVENT_TYPE_NOT_FOUND": "`ontomesh events types` lists what exists",
    "DEAD_LETTER_NOT_FOUND": "`ontomesh events dead-letters SUBSCRIPTION` lists what exists",
    "START_NOT_RETAINED": "`ontomesh events status` tells what the stream still holds; --all begins with that",
    "BROKER_UNAVAILABLE": "NATS is away: the gateway's log tells why; try again when it is back",
    "STREAM_FULL": "`ontomesh events status` tells how full; ONTOMESH_EVENTS_MAX_BYTES or a shorter age makes room",
    "SPOOL_FULL": "NATS is away and the gateway's spool is full: bring NATS back, then try again",
    "NOT_REACHED": "publish again from the first event that failed, in order",
}


def hint_for(reason: str, metadata: Mapping[str, str]) -> str:
    """What a person can do about an error; empty if there is nothing to say."""
    if reason == "STALE_HEAD":
        head = metadata.get("head", "")
        return f"the branch has moved on{f' to {short(head)}' if head else ''}: read it again, then retry" + (
            f" with --expect {head}" if head else ""
        )
    if reason == "PERMISSION_DENIED":
        return _permission(metadata)
    return _HINTS.get(reason, "")


def _permission(metadata: Mapping[str, str]) -> str:
    right, database = metadata.get("right", ""), metadata.get("database", "")
    if not right:
        return "whoever runs the server grants rights in its policy file; `ontomesh token show` tells what the token is for"
    places = (
        (database, metadata.get("branch", ""))
        if database
        else (metadata.get("type", ""), metadata.get("subscription", ""))
    )
    if not database and right == "consume" and not places[0]:
        places = ("*", places[1])
    place = "/".join(part for part in places if part)
    return (
        f"{metadata.get('principal') or 'this principal'} lacks `{right}`{f' on {place}' if place else ''}: whoever runs"
        f" the {'kernel' if database else 'gateway'} grants it in the policy file, or in a token by --right {right}{f':{place}' if place else ''}"
    )
