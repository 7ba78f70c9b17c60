"""What the steps of a migration make of an ontology and of documents."""

import time
from typing import Any

import orjson
import pytest

from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.deciding import changed_ontology
from ontomesh_data_kernel.domain.model import OntologyEdit
from ontomesh_data_kernel.domain.ontology import parse_schema
from ontomesh_data_kernel.domain.revalidating import Revalidation
from ontomesh_data_kernel.domain.steps import (
    CastProperty,
    DeleteClass,
    DeleteProperty,
    MoveProperty,
    OnError,
    RenameClass,
    RenameProperty,
    SetDefault,
    Step,
)
from ontomesh_data_kernel.errors import InvalidSchema, KernelError

Json = dict[str, Any]

KEY = {"@type": "Lexical", "@fields": ["name"]}


def optional(range_: str) -> Json:
    return {"@type": "Optional", "@class": range_}


SCHEMA: list[Json] = [
    {"@type": "Class", "@id": "Being", "@abstract": [], "name": "xsd:string"},
    {
        "@type": "Class",
        "@id": "Person",
        "@inherits": "Being",
        "@key": KEY,
        "@documentation": {"@comment": "Somebody", "@properties": {"age": "In years"}},
        "@metadata": {"ontomesh": {"indexed": ["age", "address.city"]}},
        "age": optional("xsd:integer"),
        "mood": optional("Mood"),
        "city": optional("xsd:string"),
        "address": optional("Address"),
        "friends": {"@type": "Set", "@class": "Being"},
        "born": optional("xsd:dateTime"),
    },
    {"@type": "Class", "@id": "Pilot", "@inherits": "Person", "@key": KEY, "hours": optional("xsd:decimal")},
    {"@type": "Class", "@id": "Dog", "@inherits": "Being", "@key": KEY, "owner": optional("Person")},
    {
        "@type": "Class",
        "@id": "Address",
        "@subdocument": [],
        "@key": {"@type": "Random"},
        "city": optional("xsd:string"),
        "mayor": optional("Person"),
    },
    {"@type": "Enum", "@id": "Mood", "@value": ["calm", "wild"]},
]
BASE = parse_schema(SCHEMA)


def migrated(
    document: Json, *steps: Step, schema: list[Json] | None = None, remove: tuple[str, ...] = ()
) -> Json | list[tuple[str, str]] | None:
    """The document after the steps: None if it is removed, else what is wrong with it."""
    prepared = BASE.compile().prepare(
        parse_body(orjson.dumps(document), limit=1 << 20), document_id=None, random_id=lambda: "x"
    )
    edit = OntologyEdit(orjson.dumps(schema) if schema else b"", remove=remove, migrations=steps)
    target, migration = changed_ontology(BASE, edit)
    revalidation = Revalidation(BASE, target, migration)
    if prepared.cls not in revalidation.classes:
        return None if migration is None else dict(orjson.loads(prepared.body))
    examined = revalidation.examine([(prepared.id, prepared.body)])
    if not examined:
        return dict(orjson.loads(prepared.body))
    (one,) = examined
    if one.removed:
        return None
    if one.document is None:
        return [(each.field, each.description) for each in one.violations]
    assert (
        one.document.body
        == target.compile()
        .prepare(parse_body(one.document.body, limit=1 << 20), document_id=one.document.id, random_id=str)
        .body
    )
    return dict(orjson.loads(one.document.body))


def element(name: str, *steps: Step, schema: list[Json] | None = None) -> Json | None:
    """An element after the steps."""
    edit = OntologyEdit(orjson.dumps(schema) if schema else b"", migrations=steps)
    elements = orjson.loads(changed_ontology(BASE, edit)[0].to_json())
    return next((dict(one) for one in elements if one.get("@id") == name), None)


ADA: Json = {"@type": "Person", "name": "ada", "age": 36}


def ada(**rest: Any) -> Json:
    return ADA | rest


def stored(**rest: Any) -> Json:
    return {"@id": "Person/ada"} | ADA | rest


def without(document: Json, *names: str) -> Json:
    return {name: value for name, value in document.items() if name not in names}


def test_a_class_is_renamed_in_ids_in_links_and_in_subdocuments() -> None:
    step = RenameClass("Person", "Human")
    body = ada(friends=["Person/bob", "Dog/rex", "Pilot/cy"], address={"@type": "Address", "mayor": "Person/eve"})
    assert migrated(body, step) == stored(
        **{"@id": "Human/ada", "@type": "Human"},
        friends=["Dog/rex", "Human/bob", "Pilot/cy"],
        address={"@type": "Address", "mayor": "Human/eve"},
    )
    dog = {"@type": "Dog", "name": "rex", "owner": "Person/ada"}
    assert migrated(dog, step) == dog | {"@id": "Dog/rex", "owner": "Human/ada"}
    assert element("Person", step) is None
    pilot = element("Pilot", step)
    assert pilot is not None
    assert pilot["@inherits"] == "Human"


def test_two_classes_exchange_their_names() -> None:
    steps = (RenameClass("Person", "Other"), RenameClass("Dog", "Person"), RenameClass("Other", "Dog"))
    assert migrated(ada(friends=["Dog/rex", "Person/bob"]), *steps) == stored(
        **{"@id": "Dog/ada", "@type": "Dog"}, friends=["Dog/bob", "Person/rex"]
    )
    assert migrated({"@type": "Dog", "name": "rex", "owner": "Person/ada"}, *steps) == {
        "@id": "Person/rex",
        "@type": "Person",
        "name": "rex",
        "owner": "Dog/ada",
    }


def test_a_subdocument_class_is_renamed_where_its_values_lie() -> None:
    left = migrated(ada(address={"@type": "Address", "city": "Rome"}), RenameClass("Address", "Place"))
    assert left == stored(address={"@type": "Place", "city": "Rome"})


def test_a_property_is_renamed_below_and_in_keys_indexes_and_documentation() -> None:
    step = RenameProperty("Person", "age", "years")
    assert migrated({"@type": "Pilot", "name": "cy", "age": 3}, step) == {
        "@id": "Pilot/cy",
        "@type": "Pilot",
        "name": "cy",
        "years": 3,
    }
    person = element("Person", step)
    assert person is not None
    assert person["@metadata"]["ontomesh"]["indexed"] == ["years", "address.city"]
    assert person["@documentation"]["@properties"] == {"years": "In years"}
    renamed = element("Person", RenameProperty("Being", "name", "called"))
    assert renamed is not None
    assert renamed["@key"]["@fields"] == ["called"]
    city = element("Person", RenameProperty("Address", "city", "town"))
    assert city is not None
    assert city["@metadata"]["ontomesh"]["indexed"] == ["age", "address.town"]
    assert migrated(ada(address={"@type": "Address", "city": "Rome"}), RenameProperty("Address", "city", "town")) == (
        stored(address={"@type": "Address", "town": "Rome"})
    )


def test_a_key_property_keeps_its_id_under_another_name() -> None:
    assert migrated(ada(), RenameProperty("Being", "name", "called")) == without(stored(called="ada"), "name")


def test_a_default_fills_what_is_missing_and_nothing_else() -> None:
    assert migrated(without(ADA, "age"), SetDefault("Person", "age", b"18")) == stored(age=18)
    assert migrated(ada(), SetDefault("Person", "age", b"18")) == stored()
    person = next(one for one in SCHEMA if one["@id"] == "Person")
    grown = [person | {"email": "xsd:string"}]
    assert migrated(ada(), SetDefault("Person", "email", b'"-"'), schema=grown) == stored(email="-")
    assert migrated(ada(), schema=grown) == [("Person/ada.email", "is required")]


@pytest.mark.parametrize(
    ("property", "range_", "value", "becomes"),
    [
        ("age", "xsd:string", 36, "36"),
        ("age", "xsd:decimal", 36, 36),
        ("age", "xsd:double", 2**53, 2.0**53),
        ("age", "xsd:boolean", 1, True),
        ("city", "xsd:integer", "12", 12),
        ("city", "xsd:decimal", "1.50", 1.5),
        ("city", "xsd:boolean", "true", True),
        ("city", "xsd:date", "2026-11-20", "2026-11-20"),
        ("city", "Mood", "calm", "calm"),
        ("city", "Person", "Person/ada", "Person/ada"),
        ("city", "sys:JSON", "x", "x"),
        ("mood", "xsd:string", "wild", "wild"),
        ("born", "xsd:date", "2026-11-20T10:00:00Z", "2026-11-20Z"),
        ("born", "xsd:string", "2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
        ("born", "xsd:gYear", "2026-11-20T10:00:00Z", "2026"),
    ],
)
def test_values_are_cast(property: str, range_: str, value: object, becomes: object) -> None:
    step = CastProperty("Person", property, range_)
    assert migrated(ada(**{property: value}), step) == stored(**{property: becomes})
    person = element("Person", step)
    assert person is not None
    assert person[property] == optional(range_)


@pytest.mark.parametrize(
    ("property", "range_", "value"),
    [
        ("city", "xsd:integer", "1.5"),
        ("city", "xsd:integer", "x"),
        ("city", "xsd:boolean", "yes"),
        ("city", "xsd:date", "2026-13-01"),
        ("city", "Mood", "mild"),
        ("city", "Person", "Dog/rex"),
        ("age", "xsd:boolean", 2),
        ("age", "xsd:byte", 300),
        ("age", "xsd:double", 2**53 + 1),
        ("age", "xsd:float", 2**24 + 1),
    ],
)
def test_what_cannot_be_cast_is_a_violation_unless_it_is_said_what_becomes_of_it(
    property: str, range_: str, value: object
) -> None:
    body = ada(**{property: value})
    left = migrated(body, CastProperty("Person", property, range_))
    assert isinstance(left, list)
    assert [field for field, _ in left] == [f"Person/ada.{property}"]
    assert migrated(body, CastProperty("Person", property, range_, on_error=OnError.REMOVE)) == without(
        stored(), property
    )


def test_a_default_stands_for_what_cannot_be_cast_and_for_what_is_missing_where_it_is_required() -> None:
    step = CastProperty("Person", "city", "xsd:integer", "Required", OnError.DEFAULT, b"0")
    assert migrated(ada(city="Rome"), step) == stored(city=0)
    assert migrated(ada(), step) == stored(city=0)
    assert migrated(ada(city="7"), step) == stored(city=7)


def test_families_are_cast() -> None:
    assert migrated(ada(city="Rome"), CastProperty("Person", "city", family="Set")) == stored(city=["Rome"])
    assert migrated(ada(), CastProperty("Person", "city", family="List")) == [("Person/ada.city", "is required")]
    assert migrated(ada(friends=["Dog/rex"]), CastProperty("Person", "friends", family="Optional")) == (
        stored(friends="Dog/rex")
    )
    assert migrated(ada(friends=["Dog/a", "Dog/b"]), CastProperty("Person", "friends", family="Optional")) == [
        ("Person/ada.friends", "has 2 values, where one property holds at most one")
    ]
    assert migrated(ada(), CastProperty("Person", "friends", family="Optional")) == stored()


def test_a_property_moves_into_a_subdocument_and_out_of_it() -> None:
    into = MoveProperty("Person", "age", "address.age")
    moved = without(stored(address={"@type": "Address", "age": 36}), "age")
    assert migrated(ada(), into) == moved
    assert migrated(ada(address={"@type": "Address", "city": "Rome"}), into) == without(
        stored(address={"@type": "Address", "city": "Rome", "age": 36}), "age"
    )
    person, address = element("Person", into), element("Address", into)
    assert person is not None
    assert address is not None
    assert person["@metadata"]["ontomesh"]["indexed"] == ["address.age", "address.city"]
    assert "age" not in person
    assert address["age"] == optional("xsd:integer")
    out = MoveProperty("Person", "address.mayor", "mayor")
    body = ada(address={"@type": "Address", "mayor": "Person/eve"})
    assert migrated(body, out) == stored(address={"@type": "Address"}, mayor="Person/eve")
    clash = migrated(
        ada(city="Rome", address={"@type": "Address", "city": "Oslo"}), MoveProperty("Person", "city", "address.city")
    )
    assert clash == [("Person/ada.address.city", "has a value already, so that city cannot move there")]


def test_a_property_moves_up_and_down_the_hierarchy() -> None:
    up = MoveProperty("Person", "age", to_type="Being")
    assert migrated(ada(), up) == stored()
    being = element("Being", up)
    assert being is not None
    assert being["age"] == optional("xsd:integer")
    down = MoveProperty("Person", "age", to_type="Pilot")
    left = migrated(ada(), down)
    assert isinstance(left, list)
    assert left[0][0] == "Person/ada.age"


def test_an_index_that_both_classes_declare_moves_down_once() -> None:
    notes = {"@metadata": {"ontomesh": {"indexed": ["age"]}}}
    base = parse_schema([one | notes if one["@id"] == "Pilot" else one for one in SCHEMA])
    target, _ = changed_ontology(base, OntologyEdit(b"", migrations=(MoveProperty("Person", "age", to_type="Pilot"),)))
    pilot = next(one for one in orjson.loads(target.to_json()) if one["@id"] == "Pilot")
    assert pilot["@metadata"] == notes["@metadata"]


def test_a_property_is_deleted_with_its_values_and_indexes() -> None:
    step = DeleteProperty("Person", "age")
    assert migrated(ada(), step) == without(stored(), "age")
    person = element("Person", step)
    assert person is not None
    assert person["@metadata"]["ontomesh"]["indexed"] == ["address.city"]


def test_a_deleted_property_that_is_inherited_too_keeps_its_index() -> None:
    above = {"@type": "Class", "@id": "Above", "name": optional("xsd:string")}
    notes = {"ontomesh": {"unique": ["name"]}}
    below = {"@type": "Class", "@id": "Below", "@inherits": "Above", "@metadata": notes, "name": "xsd:string"}
    step = DeleteProperty("Below", "name")
    target, migration = changed_ontology(parse_schema([above, below]), OntologyEdit(b"", migrations=(step,)))
    assert target.hierarchy.unique["Below"] == {"name": "Below"}
    assert migration is not None
    body = {"@type": "Below", "@id": "Below/x", "name": "x"}
    assert migration.apply(dict(body)) == body


def test_a_class_is_deleted_and_links_to_its_documents_are_violations_or_removed() -> None:
    assert migrated({"@type": "Dog", "name": "rex"}, DeleteClass("Dog")) is None
    left = migrated(ada(friends=["Dog/rex", "Person/bob"]), DeleteClass("Dog"))
    assert isinstance(left, list)
    assert left[0][0] == "Person/ada.friends[0]"
    assert migrated(ada(friends=["Dog/rex", "Person/bob"]), DeleteClass("Dog", unlink=True)) == stored(
        friends=["Person/bob"]
    )
    assert element("Person", DeleteClass("Mood", unlink=True)) == without(
        next(one for one in SCHEMA if one["@id"] == "Person"), "mood"
    )


def test_steps_are_taken_in_order_and_the_changes_own_elements_win() -> None:
    steps = (
        RenameProperty("Person", "age", "years"),
        CastProperty("Person", "years", "xsd:string"),
        RenameClass("Person", "Human"),
        DeleteProperty("Human", "city"),
    )
    assert migrated(ada(city="Rome"), *steps) == {"@id": "Human/ada", "@type": "Human", "name": "ada", "years": "36"}
    person = next(one for one in SCHEMA if one["@id"] == "Person")
    human = without(person, "age", "city", "@metadata", "@documentation") | {"@id": "Human", "years": "xsd:string"}
    assert migrated(without(ADA, "age"), *steps, schema=[human]) == [("Person/ada.years", "is required")]


@pytest.mark.parametrize(
    ("step", "field", "says"),
    [
        (RenameClass("Persn", "X"), "rename_class.name", "did you mean Person?"),
        (RenameClass("Person", "Dog"), "rename_class.to", "there is a class or enum"),
        (RenameClass("Person", "a b"), "rename_class.to", "is no name"),
        (RenameProperty("Person", "agee", "x"), "rename_property.property", "did you mean age?"),
        (RenameProperty("Person", "name", "x"), "rename_property.property", "inherits 'name' from Being"),
        (RenameProperty("Being", "name", "hours"), "rename_property.to", "Pilot has a property 'hours'"),
        (SetDefault("Person", "age", b'"x"'), "set_default.value", "does not fit Person.age"),
        (SetDefault("Person", "mood", b'"mild"'), "set_default.value", "did you mean wild?"),
        (SetDefault("Person", "size", b"1"), "set_default.property", "has no property 'size'"),
        (SetDefault("Person", "age", b"{"), "set_default.value", "is not JSON"),
        (CastProperty("Person", "age", "xsd:integr"), "cast_property.range", "did you mean xsd:integer"),
        (
            CastProperty("Person", "age", "xsd:date"),
            "cast_property.range",
            "no value of xsd:integer is one of xsd:date",
        ),
        (CastProperty("Person", "age", "Mood"), "cast_property.range", "no value of"),
        (CastProperty("Person", "age", family="Bag"), "cast_property.family", "is none of Required"),
        (CastProperty("Person", "age"), "cast_property.range", "another range, another family or both"),
        (
            CastProperty("Person", "age", "xsd:string", on_error=OnError.DEFAULT, default=b"1"),
            "cast_property.default",
            "does not fit xsd:string",
        ),
        (CastProperty("Person", "age", "xsd:string", default=b'"x"'), "cast_property.default", "goes with on_error"),
        (MoveProperty("Person", "age", "adress.age"), "move_property.to", "did you mean address?"),
        (MoveProperty("Person", "age", "friends.age"), "move_property.to", "does not hold one subdocument"),
        (MoveProperty("Person", "age", "address.city"), "move_property.to", "of another type"),
        (MoveProperty("Person", "age", to_type="Dog"), "move_property.to_type", "neither above nor below"),
        (MoveProperty("Person", "age"), "move_property.to", "is required"),
        (MoveProperty("Person", "address", "address.home"), "move_property.to", "cannot move into itself"),
        (DeleteProperty("Person", "nam"), "delete_property.property", "did you mean name"),
        (DeleteClass("Personn"), "delete_class.name", "did you mean Person?"),
    ],
)
def test_steps_that_make_no_sense_are_refused_with_their_field(step: Step, field: str, says: str) -> None:
    with pytest.raises(KernelError) as refused:
        changed_ontology(BASE, OntologyEdit(b"", migrations=(step,)))
    (violation, *_) = refused.value.violations
    assert violation.field == f"ontology.migrations[0].{field}"
    assert says in violation.description


def test_steps_that_lead_to_no_ontology_are_refused() -> None:
    with pytest.raises(InvalidSchema) as refused:
        changed_ontology(BASE, OntologyEdit(b"", migrations=(DeleteClass("Mood"),)))
    assert refused.value.violations[0].field == "ontology.@schema/Person.mood"


def test_a_short_schema_costs_no_long_migration() -> None:
    """Each class of a thousand links twice to one that goes: together, not one after another."""
    target = {"@type": "Class", "@id": "X"}
    linking = [{"@type": "Class", "@id": f"C{n}", "a": optional("X"), "b": optional("X")} for n in range(1_000)]
    base = parse_schema([target, *linking])
    started = time.process_time()
    left, _ = changed_ontology(base, OntologyEdit(b"", migrations=(DeleteClass("X", unlink=True),)))
    assert time.process_time() - started < 10
    assert not any(cls.properties for cls in left.classes.values())
