import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontomesh_data_kernel.domain.canonical import encode_exactly, parse_body
from ontomesh_data_kernel.domain.model import ConflictKind, MergeSide
from ontomesh_data_kernel.domain.properties import (
    Choice,
    Conflicted,
    Merged,
    MergeRules,
    Merging,
    PropertyConflict,
    join,
    merge_document,
    property_changes,
    split,
)
from ontomesh_data_kernel.errors import MalformedBody

SETS = ("tags", "more")


def how(cls: str, name: str) -> Merging:
    if name == "sub":
        return Merging.PROPERTIES
    return Merging.SET if name in SETS else Merging.WHOLE


RULES = MergeRules(how, lambda cls: (frozenset(("one", "other", "third")),) if cls == "Choice" else ())


def leave(property: str | None, conflict: PropertyConflict) -> Choice | None:
    return None


def take(side: Choice) -> Any:
    return lambda property, conflict: side


def document(**properties: Any) -> bytes:
    for name in SETS:
        if name in properties:
            elements = {encode_exactly(element): element for element in properties[name]}
            properties[name] = [elements[key] for key in sorted(elements)]
            if not properties[name]:
                del properties[name]
    return encode_exactly({"@id": "A/1", "@type": "A", **properties})


def merge(bases: Sequence[bytes | None], ours: bytes | None, theirs: bytes | None, choose: Any = leave) -> Any:
    outcome = merge_document(bases, ours, theirs, "A", RULES, choose)
    if isinstance(outcome, Merged):
        return None if outcome.body is None else encode_exactly(outcome.body)
    return outcome.conflicts


values = st.none() | st.integers(0, 2) | st.booleans() | st.sampled_from(["a", "b"])
subdocuments = st.fixed_dictionaries(
    {"@type": st.sampled_from(["Sub", "Choice"])},
    optional={"x": st.integers(0, 2), "tags": st.sampled_from([[1], [1, 2], [2, 3]]), "one": st.integers(0, 1)},
)
bodies = st.builds(
    lambda pairs, tags: document(**{name: value for name, value in pairs.items() if value is not None}, tags=tags),
    st.fixed_dictionaries({"x": values, "y": values, "z": values, "sub": values | subdocuments}),
    st.lists(st.integers(0, 4)),
)
states = st.none() | bodies


@given(states, states)
def test_merging_with_an_unchanged_side_gives_the_other_side(base: bytes | None, changed: bytes | None) -> None:
    assert merge([base], base, changed) == changed
    assert merge([base], changed, base) == changed
    assert merge([base], changed, changed) == changed
    assert merge([base, base], changed, base) == changed


@given(states, states, states)
def test_merging_is_symmetric_up_to_the_names_of_the_sides(
    base: bytes | None, ours: bytes | None, theirs: bytes | None
) -> None:
    one, other = merge([base], ours, theirs), merge([base], theirs, ours)
    if not isinstance(one, tuple):
        assert one == other
        return
    assert [(c.property, c.base, c.ours, c.theirs) for c in one] == [
        (c.property, c.base, c.theirs, c.ours) for c in other
    ]
    assert merge([base], ours, theirs, take(MergeSide.OURS)) == merge([base], theirs, ours, take(MergeSide.THEIRS))
    assert merge([base], ours, theirs, take(MergeSide.BASE)) == merge([base], theirs, ours, take(MergeSide.BASE))


@given(st.lists(states, min_size=1, max_size=3), states, states)
def test_several_bases_settle_only_what_each_of_them_settles(
    bases: list[bytes | None], ours: bytes | None, theirs: bytes | None
) -> None:
    together = merge(bases, ours, theirs)
    single = [merge([base], ours, theirs) for base in bases]
    if not isinstance(together, tuple):
        # Bases that know the document and bases that do not may agree property by property.
        assert all(isinstance(result, tuple) or result == together for result in single) or together in single
    elif all(not isinstance(result, tuple) for result in single):
        assert len(set(single)) > 1
    assert merge(bases[::-1], ours, theirs) == together or isinstance(together, tuple)


@given(states, states, states)
def test_a_strategy_settles_every_conflict(base: bytes | None, ours: bytes | None, theirs: bytes | None) -> None:
    for side in MergeSide:
        assert not isinstance(merge([base], ours, theirs, take(side)), tuple)


@given(bodies)
def test_splitting_and_joining_keeps_every_byte(body: bytes) -> None:
    assert join(split(body)) == body


def test_changes_of_different_properties_both_count() -> None:
    base = document(x=1, y=1, z=1)
    assert merge([base], document(x=2, y=1, z=1), document(x=1, y=1)) == document(x=2, y=1)


def test_a_subdocument_merges_by_its_own_properties() -> None:
    def sub(**properties: Any) -> bytes:
        return document(x=1, sub={"@type": "Sub", **properties})

    base = sub(street="a", city="b", tags=[1])
    assert merge([base], sub(street="c", city="b", tags=[1, 2]), sub(street="a", tags=[3])) == sub(
        street="c", tags=[2, 3]
    )
    conflicts = merge([base], sub(street="c", city="b"), sub(street="d", city="e"))
    assert [(one.property, one.base, one.ours, one.theirs) for one in conflicts] == [
        ("sub.street", b'"a"', b'"c"', b'"d"')
    ]
    settled = merge([base], sub(street="c"), sub(street="d", city="e"), take(MergeSide.THEIRS))
    assert settled == sub(street="d", city="e")


def test_subdocuments_of_two_classes_are_in_conflict_as_a_whole() -> None:
    base = document(sub={"@type": "Sub", "x": 1})
    conflicts = merge([base], document(sub={"@type": "Choice", "x": 1}), document(sub={"@type": "Sub", "x": 2}))
    assert [one.property for one in conflicts] == ["sub"]
    conflicts = merge([document()], document(sub={"@type": "Sub", "x": 1}), document(sub={"@type": "Sub", "y": 2}))
    assert [one.property for one in conflicts] == ["sub"]


def test_sides_that_choose_different_alternatives_are_in_conflict() -> None:
    def choice(**chosen: int) -> bytes:
        return document(sub={"@type": "Choice", **chosen})

    base = choice(one=1)
    conflicts = merge([base], choice(other=1), choice(third=1))
    assert [one.property for one in conflicts] == ["sub.other", "sub.third"]
    assert merge([base], choice(other=1), choice(third=1), take(MergeSide.OURS)) == choice(other=1)
    assert merge([base], choice(other=1), base) == choice(other=1)
    assert [one.property for one in merge([base], choice(one=2), choice(one=3))] == ["sub.one"]
    assert [one.property for one in merge([base], choice(one=2), choice(other=1))] == ["sub.one", "sub.other"]


def test_sets_merge_as_sets() -> None:
    base = document(tags=[1, 2, 3], more=[1])
    ours = document(tags=[2, 3, 4])
    theirs = document(tags=[1, 2, 5], more=[1])
    assert merge([base], ours, theirs) == document(tags=[2, 4, 5])
    assert merge([document()], document(tags=[1]), document(tags=[2])) == document(tags=[1, 2])


def test_what_was_no_set_is_not_merged_as_one() -> None:
    base = encode_exactly({"tags": "a"})
    (conflict,) = merge([base], document(tags=[1]), document(tags=[2]))
    assert (conflict.property, conflict.base) == ("tags", b'"a"')


def test_a_conflict_shows_the_three_values() -> None:
    conflicts = merge([document(x=1, y=1)], document(x=2, y=2), document(x=[{"b": 1, "a": 2}], y=2))
    assert conflicts == (PropertyConflict("x", ConflictKind.BOTH_CHANGED, b"1", b"2", b'[{"a":2,"b":1}]'),)
    (removed,) = merge([document(x=1)], document(), document(x=2))
    assert (removed.ours, removed.theirs) == (None, b"2")


def test_true_is_not_one_and_one_is_not_one_point_zero() -> None:
    (conflict,) = merge([b'{"x":true}'], b'{"x":1}', b'{"x":1.0}')
    assert (conflict.base, conflict.ours, conflict.theirs) == (b"true", b"1", b"1.0")
    assert property_changes(b'{"x":1.0}', b'{"x":1}') == (("x", b"1.0", b"1"),)


def test_numbers_keep_their_digits() -> None:
    exact = b'{"big":123456789012345678901234567890,"d":0.1000000000000000055511151231257827,"f":1e+22,"x":1}'
    assert split(exact)["f"] == b"1e+22"
    assert join(split(exact)) == exact
    merged = merge_document([exact], exact.replace(b"1}", b"2}"), exact, "A", RULES, leave)
    assert isinstance(merged, Merged)
    assert merged.body == parse_body(exact.replace(b"1}", b"2}"), limit=1_000)


def test_both_adding_merges_by_property() -> None:
    assert merge([None], document(x=1, tags=[1]), document(y=1, tags=[2])) == document(x=1, y=1, tags=[1, 2])
    (conflict,) = merge([None], document(x=1), document(x=2))
    assert conflict == PropertyConflict("x", ConflictKind.BOTH_ADDED, None, b"1", b"2")


def test_deleting_against_editing_is_a_conflict_of_the_whole_document() -> None:
    base, edited = document(x=1), document(x=2)
    (conflict,) = merge([base], None, edited)
    assert conflict == PropertyConflict(None, ConflictKind.DELETED_BY_OURS, base, None, edited)
    (conflict,) = merge([base], edited, None)
    assert conflict == PropertyConflict(None, ConflictKind.DELETED_BY_THEIRS, base, edited, None)
    assert merge([base], None, edited, take(MergeSide.OURS)) is None
    assert merge([base], None, edited, take(MergeSide.THEIRS)) == edited
    assert merge([base], None, edited, take(MergeSide.BASE)) == base
    assert merge([base], None, edited, take(document(x=3))) == document(x=3)
    assert merge([base], None, None) is None


def test_bases_that_disagree_leave_a_conflict_with_the_first() -> None:
    (conflict,) = merge([document(x=1), document(x=2)], document(x=1), document(x=2))
    assert (conflict.property, conflict.base) == ("x", b"1")
    assert merge([document(x=1), document(x=1, y=1)], document(x=2), document(x=1)) == document(x=2)
    (conflict,) = merge([document(x=1), None], None, document(x=1))
    assert (conflict.property, conflict.base) == (None, document(x=1))


def test_each_conflict_is_settled_by_its_own_choice() -> None:
    asked: list[str | None] = []

    def choose(property: str | None, conflict: PropertyConflict) -> Choice | None:
        asked.append(property)
        choices: dict[str | None, Choice] = {"x": MergeSide.THEIRS, "y": b' {"b" : 1, "a": 1.50}'}
        return choices.get(property)

    base, ours, theirs = document(x=1, y=1, z=1), document(x=2, y=2, z=2), document(x=3, y=3, z=3)
    outcome = merge_document([base], ours, theirs, "A", RULES, choose)
    assert isinstance(outcome, Conflicted)
    assert [conflict.property for conflict in outcome.conflicts] == ["z"]
    assert asked == ["x", "y", "z"]
    settled = merge_document([base], ours, document(x=3, y=3, z=1), "A", RULES, choose)
    assert isinstance(settled, Merged)
    assert settled.body is not None
    assert encode_exactly(settled.body) == document(x=3, y={"a": 1, "b": 1}, z=2).replace(b'"a":1', b'"a":1.5')


@pytest.mark.parametrize("value", [b"", b"{", b'1,"y":2', b"NaN", b'{"a":1,"a":2}'])
def test_a_chosen_value_that_is_no_json_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedBody):
        merge([document(x=1)], document(x=2), document(x=3), take(value))


def test_a_chosen_document_that_is_no_object_is_refused() -> None:
    with pytest.raises(MalformedBody):
        merge([document(x=1)], None, document(x=2), take(b"1"))


def test_changes_name_the_properties_that_differ() -> None:
    before, after = document(x=1, y=[1], tags=[1]), document(x=2, y=[1], z=None)
    assert property_changes(before, after) == (("tags", b"[1]", None), ("x", b"1", b"2"), ("z", None, b"null"))
    assert property_changes(None, document(x=1)) == (("x", None, b"1"),)
    assert property_changes(document(x=1), None) == (("x", b"1", None),)
    assert property_changes(before, before) == property_changes(None, None) == ()
    assert property_changes(b'{"@type":"A"}', b'{"@type":"B"}') == (("@type", b'"A"', b'"B"'),)


def test_a_thousand_conflicts_take_at_most_a_tenth_of_a_second() -> None:
    def body(number: int) -> bytes:
        links = [f"Package/lib{i}" for i in range(number, number + 4)]
        texts = {f"text{i}": "a line of about thirty characters" for i in range(8)}
        return document(tags=links, version=f"1.{number}", **texts)

    base, ours, theirs = body(0), body(1), body(2)

    def measure() -> float:
        start = time.process_time()
        for _ in range(1_000):
            assert isinstance(merge_document([base], ours, theirs, "A", RULES, leave), Conflicted)
        return time.process_time() - start

    assert min(measure() for _ in range(5)) < 0.1
