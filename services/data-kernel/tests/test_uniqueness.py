"""Values that only one document may have, and links that may no longer dangle: what a decision asks and refuses."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from ontomesh_data_kernel.domain.drafting import Outcome, check_references, class_of
from ontomesh_data_kernel.domain.ontology import Ontology, Prepared, parse_schema
from ontomesh_data_kernel.domain.revalidating import Examined, Revalidation
from ontomesh_data_kernel.domain.uniqueness import MAX_HOLDERS, check_held, check_unique
from ontomesh_data_kernel.errors import DanglingLink, KernelError, SchemaViolatedByData, UniqueViolation
from ontomesh_data_kernel.ports import Facts, Needs, Version


def ontology(**paths: Any) -> Ontology:
    optional = {"@type": "Optional", "@class": "xsd:string"}
    base = {
        "@type": "Class",
        "@id": "Person",
        "@metadata": {"ontomesh": paths},
        "mail": optional,
        "tags": {"@type": "Set", "@class": "xsd:string"},
        "friend": {"@type": "Optional", "@class": "Person"},
    }
    return parse_schema([base, {"@type": "Class", "@id": "Boss", "@inherits": "Person"}])


PLAIN, UNIQUE = ontology(), ontology(unique=["mail"])


class World:
    """Documents at the head, which answers as a store does."""

    def __init__(self, at: Ontology, *documents: Mapping[str, Any]) -> None:
        self.at = at
        self.documents = {one.id: one for one in (prepare(at, document) for document in documents)}

    def settle(self, asking: Generator[Needs, Facts, Any]) -> list[Needs]:
        """Answer until the asker is satisfied; what it asked."""
        asked = []
        try:
            needs = next(asking)
            while True:
                asked.append(needs)
                needs = asking.send(self.facts(needs))
        except StopIteration:
            return asked

    def facts(self, needs: Needs) -> Facts:
        answers = []
        for holder in needs.holders:
            ids = [
                id
                for id, one in sorted(self.documents.items())
                if any(
                    (f"{one.cls}.{path}", key) in {(p, holder.key) for p in holder.paths} for path, key in one.values
                )
            ]
            answers.append(tuple(ids[:MAX_HOLDERS]))
        return Facts(
            bodies={id: self.version(id) for id in needs.bodies if id in self.documents},
            etags={id: self.documents[id].etag for id in needs.etags if id in self.documents},
            holders=answers,
        )

    def version(self, id: str) -> Version:
        return Version(self.documents[id].etag, self.documents[id].body)

    def outcome(self, new: Ontology, *documents: Mapping[str, Any], deleted: tuple[str, ...] = ()) -> Outcome:
        """What a commit leaves that writes these documents."""
        written = {one.id: one for one in (prepare(new, document) for document in documents)}
        named = [*written, *deleted]
        return Outcome(
            written,
            dict.fromkeys(deleted),
            {id: self.version(id) for id in named if id in self.documents},
            {id: f"operations[{index}].insert.body" for index, id in enumerate(named)},
        )

    def commit(self, new: Ontology, *documents: Mapping[str, Any], deleted: tuple[str, ...] = ()) -> list[Needs]:
        """Check what a commit does that writes these documents and declares this ontology."""
        outcome = self.outcome(new, *documents, deleted=deleted)
        examined: dict[str, Examined] = {}
        if new.digest != self.at.digest:
            revalidation = Revalidation(self.at, new)
            bodies = [(id, one.body) for id, one in self.documents.items() if class_of(id) in revalidation.classes]
            examined = {one.id: one for one in revalidation.examine(bodies)}
            revalidation.settle(examined, outcome)
        self.settle(check_held(examined, outcome))
        self.settle(check_references(outcome, new))
        return self.settle(check_unique(outcome, self.at, new, examined))


def prepare(at: Ontology, document: Mapping[str, Any]) -> Prepared:
    return at.compile().prepare(document, document_id=None, random_id=str)


def person(name: str, cls: str = "Person", **body: Any) -> dict[str, Any]:
    return {"@type": cls, "@id": f"{cls}/{name}", **body}


@contextmanager
def refused(error: type[KernelError], *fields: str) -> Iterator[pytest.ExceptionInfo[KernelError]]:
    with pytest.raises(error) as caught:
        yield caught
    assert [violation.field for violation in caught.value.violations] == list(fields)


def test_a_value_that_another_document_has_is_refused_across_subclasses() -> None:
    world = World(UNIQUE, person("a", mail="a@x"), person("b", "Boss", mail="b@x"))
    with refused(UniqueViolation, "operations[0].insert.body.mail") as caught:
        world.commit(UNIQUE, person("c", mail="b@x"))
    assert caught.value.metadata == {"id": "Person/c", "property": "mail", "holder": "Boss/b"}
    with refused(UniqueViolation, "operations[0].insert.body.mail"):
        world.commit(UNIQUE, person("d", "Boss", mail="a@x"))
    world.commit(UNIQUE, person("c", mail="c@x"), person("d"), person("e"))


def test_nothing_is_asked_of_values_that_stay_or_are_not_unique() -> None:
    world = World(UNIQUE, person("a", mail="a@x"))
    assert world.commit(UNIQUE, person("a", mail="a@x", tags=["x"])) == []
    assert World(PLAIN).commit(PLAIN, person("a", mail="a@x")) == []
    (asked,) = world.commit(UNIQUE, person("b", mail="b@x"))
    assert [holder.paths for holder in asked.holders] == [("Boss.mail", "Person.mail")]


def test_documents_of_one_commit_may_exchange_values_and_not_share_them() -> None:
    world = World(UNIQUE, person("a", mail="a@x"), person("b", mail="b@x"))
    world.commit(UNIQUE, person("a", mail="b@x"), person("b", mail="a@x"))
    world.commit(UNIQUE, person("c", mail="a@x"), deleted=("Person/a",))
    with refused(UniqueViolation, "operations[1].insert.body.mail"):
        world.commit(UNIQUE, person("c", mail="c@x"), person("d", mail="c@x"))


def test_each_of_several_values_is_unique() -> None:
    unique = ontology(unique=["tags"])
    world = World(unique, person("a", tags=["x", "y"]))
    with refused(UniqueViolation, "operations[0].insert.body.tags"):
        world.commit(unique, person("b", tags=["z", "y"]))
    world.commit(unique, person("a", tags=["x", "z"]), person("b", tags=["y"]))


def test_long_values_that_only_begin_the_same_are_told_apart() -> None:
    long = "x" * 300
    world = World(UNIQUE, person("a", mail=long + "a"), person("b", mail=long + "b"))
    world.commit(UNIQUE, person("c", mail=long + "c"), person("d", mail=long + "d"))
    with refused(UniqueViolation, "operations[0].insert.body.mail"):
        world.commit(UNIQUE, person("c", mail=long + "b"))
    with refused(UniqueViolation, "operations[1].insert.body.mail"):
        world.commit(UNIQUE, person("c", mail=long + "c"), person("d", mail=long + "c"))


def test_what_cannot_be_told_apart_is_refused() -> None:
    long = "x" * 300
    world = World(UNIQUE, *(person(f"a{index}", mail=f"{long}{index}") for index in range(MAX_HOLDERS)))
    with pytest.raises(UniqueViolation, match="begins with the same 256 bytes as 10 or more"):
        world.commit(UNIQUE, person("c", mail=long + "c"))


def test_a_value_that_becomes_unique_is_looked_for_among_existing_documents() -> None:
    world = World(PLAIN, person("a", mail="x"), person("b", "Boss", mail="x"), person("c", mail="y"))
    with refused(SchemaViolatedByData, "Boss/b.mail") as caught:
        world.commit(UNIQUE)
    assert "'Person/a' has as well" in caught.value.message
    world.commit(UNIQUE, person("a", mail="z"))
    world.commit(UNIQUE, deleted=("Boss/b",))
    with refused(UniqueViolation, "operations[0].insert.body.mail"):
        world.commit(UNIQUE, person("a", mail="y"))
    indexed = ontology(indexed=["mail"])
    with refused(SchemaViolatedByData, "Boss/b.mail"):
        World(indexed, person("a", mail="x"), person("b", "Boss", mail="x")).commit(UNIQUE)


def test_links_that_may_dangle_are_not_checked_until_they_may_no_longer() -> None:
    dangling = ontology(dangling=["friend"])
    world = World(dangling, person("a", friend="Person/none"), person("b", friend="Person/a"))
    world.commit(dangling, person("c", friend="Person/none"))
    with refused(DanglingLink, "operations[0].insert.body.friend"):
        World(PLAIN).commit(PLAIN, person("c", friend="Person/none"))
    with refused(SchemaViolatedByData, "Person/a.friend"):
        world.commit(PLAIN)
    world.commit(PLAIN, person("none"))
    world.commit(PLAIN, person("a"))
    with refused(SchemaViolatedByData, "Person/b.friend"):
        world.commit(PLAIN, deleted=("Person/a",))
