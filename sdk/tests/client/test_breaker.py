from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sdk.tests.client.kernel import Kernel, refusal

from ontomesh.sdk import connect
from ontomesh.sdk.breaker import CircuitBreaker
from ontomesh.sdk.errors import (
    CircuitOpen,
    DocumentNotFound,
    OntomeshError,
    StoreUnavailable,
    Unavailable,
    ValidatorUnavailable,
)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(threshold=3, delay=1, max_delay=3, clock=clock)


def wait_of(breaker: CircuitBreaker) -> float | None:
    try:
        breaker.admit("kernel:1")
    except CircuitOpen as error:
        return error.retry_after
    return None


def repeat(times: int, action: Callable[[], None]) -> None:
    for _ in range(times):
        action()


def test_it_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    repeat(2, breaker.failed)
    breaker.answered()
    repeat(2, breaker.failed)
    assert wait_of(breaker) is None
    breaker.failed()
    assert wait_of(breaker) == 1


def test_it_says_when_it_will_try_again(breaker: CircuitBreaker, clock: Clock) -> None:
    repeat(3, breaker.failed)
    clock.now += 0.25
    with pytest.raises(CircuitOpen, match=r"kernel:1.*next try in 0\.8 s"):
        breaker.admit("kernel:1")


def test_it_lets_one_probe_through_at_a_time(breaker: CircuitBreaker, clock: Clock) -> None:
    repeat(3, breaker.failed)
    clock.now += 1
    assert wait_of(breaker) is None
    assert wait_of(breaker) == 1
    clock.now += 1
    assert wait_of(breaker) is None, "a probe that was lost must not block for good"


def test_the_wait_grows_with_each_failed_probe_up_to_a_limit(breaker: CircuitBreaker, clock: Clock) -> None:
    repeat(3, breaker.failed)
    waits = []
    for _ in range(3):
        clock.now += 10
        breaker.admit("kernel:1")
        breaker.failed()
        waits.append(wait_of(breaker))
    assert waits == [2, 3, 3]


def test_calls_under_way_when_it_opens_do_not_make_it_wait_longer(breaker: CircuitBreaker) -> None:
    repeat(64, breaker.failed)
    assert wait_of(breaker) == 1


def test_an_answered_probe_closes_it_and_resets_the_wait(breaker: CircuitBreaker, clock: Clock) -> None:
    repeat(3, breaker.failed)
    clock.now += 1
    breaker.admit("kernel:1")
    breaker.failed()
    clock.now += 2
    breaker.admit("kernel:1")
    breaker.answered()
    assert wait_of(breaker) is None
    repeat(3, breaker.failed)
    assert wait_of(breaker) == 1


async def test_an_open_circuit_sends_nothing_until_its_time_has_come(
    kernel: Kernel, home: Path, breaker: CircuitBreaker, clock: Clock
) -> None:
    kernel.failures["GetDocument"] = [refusal("UNAVAILABLE", "DRAINING") for _ in range(3)]
    async with connect(kernel.address, retries=False, breaker=breaker) as mesh:
        database = mesh.database("catalog")
        for _ in range(3):
            with pytest.raises(Unavailable):
                await database.get("Package/a")
        with pytest.raises(CircuitOpen):
            await database.get("Package/a")
        assert len(kernel.seen) == 3
        clock.now += 1
        assert (await database.get("Package/a")).id == "Package/a"


async def test_a_store_that_is_away_never_opens_it(kernel: Kernel, home: Path, breaker: CircuitBreaker) -> None:
    kernel.failures["GetDocument"] = [refusal("UNAVAILABLE", "STORE_UNAVAILABLE") for _ in range(9)]
    async with connect(kernel.address, retries=False, breaker=breaker) as mesh:
        for _ in range(9):
            with pytest.raises(StoreUnavailable):
                await mesh.database("catalog").get("Package/a")


async def test_validators_that_fail_never_open_it(kernel: Kernel, home: Path, breaker: CircuitBreaker) -> None:
    kernel.failures["CreateCommit"] = [refusal("UNAVAILABLE", "VALIDATOR_UNAVAILABLE") for _ in range(9)]
    async with connect(kernel.address, retries=False, breaker=breaker) as mesh:
        for _ in range(9):
            with pytest.raises(ValidatorUnavailable):
                await mesh.database("catalog").delete("Package/a")


async def test_refusals_of_the_server_never_open_it(kernel: Kernel, home: Path, breaker: CircuitBreaker) -> None:
    kernel.failures["GetDocument"] = [refusal("NOT_FOUND", "DOCUMENT_NOT_FOUND") for _ in range(9)]
    async with connect(kernel.address, breaker=breaker) as mesh:
        for _ in range(9):
            with pytest.raises(DocumentNotFound):
                await mesh.database("catalog").get("Package/a")


async def test_deadlines_that_pass_open_it(home: Path, breaker: CircuitBreaker) -> None:
    async with connect("127.0.0.1:1", retries=False, breaker=breaker) as mesh:
        for _ in range(3):
            with pytest.raises(OntomeshError):
                await mesh.database("catalog").get("Package/a", timeout=0.001)
        with pytest.raises(CircuitOpen):
            await mesh.database("catalog").get("Package/a")
