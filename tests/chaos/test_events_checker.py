"""The checker of events finds what is planted."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from tests.chaos.events_checker import STREAM, Arrival, Commit, Double, Facts, Published, check, commit_name

SUBSCRIPTION = "by-key"


def sound(*, direct: int = 6) -> Facts:
    """Facts in which everything is right: two branches with three commits of two documents, and one publisher."""
    commits = [
        Commit(branch, f"{branch}-{number}", frozenset({"Part/a", "Part/b"}))
        for number in range(3)
        for branch in ("main", "side")
    ]
    arrivals = [
        Arrival(commit_name(one.branch, one.id, document), 0, branch=one.branch, commit=one.id, document=document)
        for one in commits
        for document in sorted(one.documents)
    ]
    arrivals += [Arrival(f"k {number}", 0, key="k", number=number) for number in range(direct)]
    placed = [replace(one, sequence=place + 1) for place, one in enumerate(arrivals)]
    return Facts(
        commits=commits,
        history={branch: [f"{branch}-{number}" for number in range(3)] for branch in ("main", "side")},
        published=[Published("k", number, "gateway-0", spooled=number % 2 == 1) for number in range(direct)],
        arrivals={STREAM: list(placed), SUBSCRIPTION: list(placed)},
        ordered={STREAM, SUBSCRIPTION},
    )


def test_sound_facts_have_no_fault_and_no_double() -> None:
    verdict = check(sound(), [])
    assert (verdict.faults, verdict.events) == ([], 18)
    assert not any(verdict.doubles.values())


def drop(index: int) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        del facts.arrivals[SUBSCRIPTION][index]

    return plant


def swap(one: int, other: int) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        found = facts.arrivals[SUBSCRIPTION]
        found[one], found[other] = found[other], found[one]

    return plant


def lose_commit(facts: Facts) -> None:
    facts.history["main"].remove("main-1")


@pytest.mark.parametrize(
    ("plant", "fault"),
    [
        (drop(0), "by-key: main main-0 Part/a is lost"),
        (drop(-1), "by-key: k 5 is lost"),
        (swap(0, 4), "by-key: main main-0 Part/b came after main main-1 Part/a"),
        (swap(12, 13), "by-key: k 0 came after k 1"),
        (lose_commit, "the acknowledged commit main-1 is not in the history of main"),
    ],
)
def test_a_planted_loss_or_swap_is_found(plant: Callable[[Facts], None], fault: str) -> None:
    facts = sound()
    plant(facts)
    assert fault in check(facts, Double).faults


def test_documents_of_one_commit_and_events_of_different_keys_may_come_in_any_order() -> None:
    facts = sound()
    swap(0, 1)(facts)
    swap(2, 4)(facts)
    assert check(facts, []).faults == []


def test_an_unordered_reader_may_get_events_in_any_order() -> None:
    facts = sound()
    facts.arrivals[SUBSCRIPTION].reverse()
    facts.ordered = {STREAM}
    assert check(facts, []).faults == []


@pytest.mark.parametrize(
    ("again", "kind"),
    [
        ({"sequence": 900}, Double.STORED_TWICE),
        ({"attempt": 2}, Double.REDELIVERED),
        ({}, Double.DELIVERED_ANEW),
    ],
)
@pytest.mark.parametrize("explained", [True, False])
def test_a_double_is_counted_by_its_kind_and_a_fault_unless_it_is_explained(
    again: dict[str, int], kind: Double, explained: bool
) -> None:
    facts = sound()
    found = facts.arrivals[SUBSCRIPTION]
    found.append(replace(found[3], **again))  # type: ignore[arg-type]
    allowed: Iterable[Double] = [kind] if explained else set(Double) - {kind}
    verdict = check(facts, allowed)
    assert verdict.doubles[SUBSCRIPTION] == {kind: 1}
    assert bool(verdict.faults) != explained
    assert kind.value in verdict.report()


def test_a_second_delivery_does_not_count_for_order() -> None:
    facts = sound()
    found = facts.arrivals[SUBSCRIPTION]
    found.insert(6, replace(found[0], attempt=2))
    assert check(facts, [Double.REDELIVERED]).faults == []


def test_only_what_was_spooled_on_a_destroyed_disk_may_be_lost_and_is_counted() -> None:
    facts = sound()
    facts.lost_spools = {"gateway-0"}
    for arrivals in facts.arrivals.values():
        arrivals[:] = [one for one in arrivals if one.name != "k 3"]
    verdict = check(facts, [])
    assert (verdict.faults, verdict.lost_with_spools) == ([], 1)
    for arrivals in facts.arrivals.values():
        arrivals[:] = [one for one in arrivals if one.name != "k 4"]
    assert check(facts, []).faults == ["@stream: k 4 is lost", "by-key: k 4 is lost"]


def test_an_event_of_a_commit_that_never_was_is_a_fault() -> None:
    facts = sound()
    phantom = Arrival("main x Part/a", 901, branch="main", commit="x", document="Part/a")
    facts.arrivals[SUBSCRIPTION].insert(0, phantom)
    assert check(facts, []).faults == ["by-key: main x Part/a is of a commit that never was"]
