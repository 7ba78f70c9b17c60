"""Managing validators."""

from dataclasses import replace

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.identity import Clock
from ontomesh_data_kernel.domain.limits import page_size
from ontomesh_data_kernel.domain.paging import make_token, read_token
from ontomesh_data_kernel.domain.validators.examining import check_name, check_size, examine
from ontomesh_data_kernel.domain.validators.model import Standing, Validator, ValidatorPage
from ontomesh_data_kernel.domain.validators.patterns import samples
from ontomesh_data_kernel.domain.validators.records import write_record
from ontomesh_data_kernel.domain.validators.registry import PREFIX, Registry, read_entry
from ontomesh_data_kernel.errors import (
    EtagMismatch,
    InvalidRequest,
    PermissionDenied,
    StoreUnavailable,
    UnsupportedByStore,
    ValidatorNotFound,
)
from ontomesh_data_kernel.ports import Checks, State

MAX_VALIDATORS = 1_000
_TRIES = 8


class Validators:
    """Putting, finding and deleting validators."""

    def __init__(self, state: State, registry: Registry, checks: Checks | None, clock: Clock) -> None:
        self._state = state
        self._registry = registry
        self._checks = checks
        self._clock = clock

    async def put(self, caller: Caller, asked: Validator) -> Validator:
        """Create a validator, or put it in the place of the one of its name."""
        checks = self._asked()
        examine(asked, checks.compile_pattern)
        _require_admin(caller, asked.match.databases)
        await checks.examine(asked.check)
        for _ in range(_TRIES):
            kept, version = await self._kept(asked.name)
            if kept is not None:
                _require_admin(caller, kept.match.databases)
            elif len(await self._registry.all()) >= MAX_VALIDATORS:
                raise InvalidRequest.at("validator.name", f"there are {MAX_VALIDATORS:,} validators already")
            _check_etag(asked.name, asked.etag, kept, "validator.etag")
            now = self._clock()
            made = replace(asked, etag=f"{now:x}", create_time=kept.create_time if kept else now, update_time=now)
            if await self._state.swap(PREFIX + asked.name, version, check_size(write_record(made))) is not None:
                self._registry.learn(made.name, made)
                return made
        raise _overtaken(asked.name)

    async def get(self, caller: Caller, name: str) -> tuple[Validator, Standing]:
        """Return a validator and how it fares."""
        check_name(name)
        _require_any(caller)
        kept, _ = await self._kept(name)
        if kept is None:
            raise ValidatorNotFound.of(name)
        return kept, self._checks.standing(name) if self._checks is not None else Standing()

    async def list(self, caller: Caller, page_size_: int, page_token: str) -> ValidatorPage:
        """Return a page of the validators by order and name."""
        size = page_size(page_size_)
        listing = ("validators",)
        after = read_token(listing, page_token, 2) if page_token else None
        _require_any(caller)
        found = await self._registry.all()
        if after is not None:
            # An order may be negative, so that the token's text is compared as what it was made of.
            found = [one for one in found if _place(one) > (_order(after[0]), after[1])]
        page = found[:size]
        more = len(found) > size
        return ValidatorPage(tuple(page), make_token(listing, *map(str, _place(page[-1]))) if more else "")

    async def delete(self, caller: Caller, name: str, etag: str) -> None:
        """Delete a validator."""
        check_name(name)
        for _ in range(_TRIES):
            kept, version = await self._kept(name)
            if kept is None:
                _require_any(caller)
                raise ValidatorNotFound.of(name)
            _require_admin(caller, kept.match.databases)
            _check_etag(name, etag, kept, "etag")
            if await self._state.swap(PREFIX + name, version, None) is not None:
                self._registry.learn(name, None)
                return
        raise _overtaken(name)

    async def _kept(self, name: str) -> tuple[Validator | None, int]:
        found = await self._state.get(PREFIX + name)
        if found is None:
            return None, 0
        record, version = found
        return read_entry(PREFIX + name, record), version

    def _asked(self) -> Checks:
        if self._checks is None:
            raise UnsupportedByStore("this kernel was opened without validators")
        return self._checks


def require_admin_everywhere(caller: Caller) -> None:
    """Raise PermissionDenied unless the caller administers every database."""
    _require_admin(caller, ())


def _require_admin(caller: Caller, databases: tuple[str, ...]) -> None:
    """Raise PermissionDenied unless the caller administers every database that fits, those to come among them."""
    for pattern in databases or ("*",):
        if not all(caller.rights.allows("admin", sample) for sample in samples((pattern,))):
            raise PermissionDenied.of(caller.principal, "admin", pattern, "")


def _require_any(caller: Caller) -> None:
    if not (caller.rights.allows_somewhere("admin") or caller.rights.allows_somewhere("write")):
        raise PermissionDenied.of(caller.principal, "write", "*", "")


def _check_etag(name: str, etag: str, kept: Validator | None, field: str) -> None:
    current = kept.etag if kept is not None else ""
    if etag and etag != current:
        raise EtagMismatch.of(name, current, field)


def _place(one: Validator) -> tuple[int, str]:
    return one.order, one.name


def _order(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidRequest.at("page_token", "was not issued by this method") from None


def _overtaken(name: str) -> StoreUnavailable:
    return StoreUnavailable(f"validator {name!r} was changed by others {_TRIES} times meanwhile")
