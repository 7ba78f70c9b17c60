"""Types of events, and events checked against their schemas."""

import json
from typing import Any

import pytest

from ontomesh_event_gateway.domain.event_types import EventType, EventTypes, named_classes
from ontomesh_event_gateway.domain.json_schema import DRAFT, DataSchema, compile_schema, compile_text
from ontomesh_event_gateway.domain.model import ClassName, Event
from ontomesh_event_gateway.domain.schemas import TypeSchemas
from ontomesh_event_gateway.errors import (
    BrokerUnavailable,
    DataViolation,
    EtagMismatch,
    EventTypeNotFound,
    GatewayError,
    InvalidPageToken,
    InvalidRequest,
    InvalidSchema,
    PermissionDenied,
    SchemaUnavailable,
    TooLarge,
    UnknownEventType,
)
from tests.events.memory import ANA, BOB, MemoryRecords

ORDER = {
    "$schema": DRAFT,
    "type": "object",
    "required": ["id", "price"],
    "properties": {
        "id": {"type": "string", "pattern": "^o-[0-9]+$"},
        "price": {"type": "number", "minimum": 0},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "how": {"enum": ["card", "cash"]},
    },
    "additionalProperties": False,
    "$defs": {"line": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}}}},
}
PERSON = ClassName("catalog", "main", "Person")


class MemoryClasses:
    """A kernel with one class, which may be away."""

    def __init__(self) -> None:
        self.known: dict[ClassName, DataSchema] = {}
        self.is_away = False

    async def find(self, named: ClassName) -> None:
        if self.is_away:
            raise SchemaUnavailable("the kernel cannot be asked")
        if named != PERSON:
            raise InvalidSchema.at("ontology_class.name", "there is no such class on the branch")
        await self.load(named)

    async def load(self, named: ClassName) -> None:
        if not self.is_away:
            self.known[named] = compile_schema({"type": "object", "required": ["name"]})

    def schema(self, named: ClassName) -> DataSchema:
        if named not in self.known:
            raise SchemaUnavailable("never known")
        return self.known[named]


@pytest.fixture
def records() -> MemoryRecords:
    return MemoryRecords()


@pytest.fixture
def classes() -> MemoryClasses:
    return MemoryClasses()


@pytest.fixture
def types(records: MemoryRecords, classes: MemoryClasses) -> EventTypes:
    return EventTypes(records, classes)


@pytest.fixture
def schemas(records: MemoryRecords, classes: MemoryClasses) -> TypeSchemas:
    return TypeSchemas(records, classes)


def event(type: str, data: Any = None, **attributes: Any) -> Event:
    sent = data if data is None or isinstance(data, str | bytes) else json.dumps(data)
    return Event("1", "/shop", type, attributes, sent)


def order_type(**changes: Any) -> EventType:
    return EventType(**{"name": "shop.order", "json_schema": json.dumps(ORDER), **changes})


async def faults(schemas: TypeSchemas, one: Event) -> dict[str, str]:
    await schemas.load({one.type})
    with pytest.raises(DataViolation) as refused:
        schemas.check(one)
    assert refused.value.metadata == {"type": one.type}
    return {violation.field: violation.description for violation in refused.value.violations}


async def test_data_of_a_registered_type_fit_its_schema(types: EventTypes, schemas: TypeSchemas) -> None:
    await types.put(ANA, order_type())
    for attributes in ({}, {"datacontenttype": "application/json"}, {"datacontenttype": "Application/X+JSON; a=b"}):
        await schemas.load({"shop.order"})
        schemas.check(event("shop.order", {"id": "o-1", "price": 1.5, "lines": [{"sku": "x"}]}, **attributes))
        schemas.check(event("shop.order", b'{"id":"o-1","price":0}', **attributes))


async def test_each_fault_of_the_data_is_named_by_its_place(types: EventTypes, schemas: TypeSchemas) -> None:
    await types.put(ANA, order_type())
    sent = {"price": -1, "lines": [{"sku": "x"}, {"sku": 1}, {}], "how": "debt", "odd name": 1, "extra": 2}
    assert await faults(schemas, event("shop.order", sent)) == {
        "data.id": "is required",
        "data.price": "is less than the minimum of 0",
        "data.lines[1].sku": 'is not of type "string"',
        "data.lines[2].sku": "is required",
        "data.how": 'is not one of "card" or "cash"',
        "data['odd name']": "is not expected",
        "data.extra": "is not expected",
    }


@pytest.mark.parametrize(
    ("one", "field", "words"),
    [
        (event("shop.order"), "data", "required"),
        (event("shop.order", b""), "data", "not JSON"),
        (event("shop.order", b"{"), "data", "not JSON"),
        (event("shop.order", b"\xff"), "data", "not JSON"),
        (event("shop.order", "NaN"), "data", "not JSON"),
        (event("shop.order", "[]"), "data", 'not of type "object"'),
        (event("shop.order", "{}", datacontenttype="text/plain"), "datacontenttype", "not JSON"),
        (event("shop.order", b"x", datacontenttype="application/jsonx"), "datacontenttype", "not JSON"),
    ],
)
async def test_data_that_are_not_json_are_refused(
    types: EventTypes, schemas: TypeSchemas, one: Event, field: str, words: str
) -> None:
    await types.put(ANA, order_type())
    ((at, said),) = (await faults(schemas, one)).items()
    assert at == field
    assert words in said


@pytest.mark.parametrize("price", ["9" * 400, "1e400", "0." + "1" * 900])
async def test_numbers_may_be_beyond_a_double(types: EventTypes, schemas: TypeSchemas, price: str) -> None:
    await types.put(ANA, order_type())
    await schemas.load({"shop.order"})
    schemas.check(event("shop.order", f'{{"id": "o-1", "price": {price}}}'))
    assert "data.price" in await faults(schemas, event("shop.order", f'{{"id": "o-1", "price": -{price}}}'))


async def test_faults_are_few_and_short_however_bad_the_data(types: EventTypes, schemas: TypeSchemas) -> None:
    await types.put(ANA, order_type())
    many = {"id": "o-1", "price": 1, "lines": [{"sku": index} for index in range(1000)]}
    assert len(await faults(schemas, event("shop.order", many))) == 20
    large = {"id": "o-1", "price": 1, "lines": [{"sku": index} for index in range(60_000)]}
    assert len(await faults(schemas, event("shop.order", large))) == 1
    long = await faults(schemas, event("shop.order", {"id": "x" * 20_000, "price": 1}))
    assert all(len(words) <= 300 for words in long.values())


async def test_a_type_that_is_not_registered_holds_anything_unless_the_gateway_is_strict(
    records: MemoryRecords, classes: MemoryClasses, schemas: TypeSchemas
) -> None:
    await schemas.load({"shop.order"})
    schemas.check(event("shop.order", b"\xff\xfe"))
    strict = TypeSchemas(records, classes, is_strict=True)
    await strict.load({"shop.order"})
    with pytest.raises(UnknownEventType):
        strict.check(event("shop.order", "{}"))
    with pytest.raises(UnknownEventType):
        schemas.check(event("ontomesh.nonsense", "{}"))


async def test_a_change_of_a_type_holds_for_the_next_event(types: EventTypes, schemas: TypeSchemas) -> None:
    good, bad = event("shop.order", {"id": "o-1", "price": 1}), event("shop.order", {"id": 1})
    schemas.check(bad)
    await types.put(ANA, order_type())
    with pytest.raises(DataViolation):
        schemas.check(bad)
    schemas.check(good)
    await types.put(ANA, order_type(json_schema="true"))
    schemas.check(bad)
    await types.put(ANA, order_type(json_schema="false"))
    with pytest.raises(DataViolation):
        schemas.check(good)
    await types.delete(ANA, "shop.order", "")
    schemas.check(bad)


async def test_a_class_that_was_never_known_makes_its_events_wait(
    types: EventTypes, classes: MemoryClasses, schemas: TypeSchemas, records: MemoryRecords
) -> None:
    made = await types.put(ANA, EventType("shop.person", ontology_class=ClassName("catalog", "", "Person")))
    assert made.ontology_class == PERSON
    assert named_classes(records) == {PERSON}
    classes.known.clear()
    classes.is_away = True
    await schemas.load({"shop.person"})
    with pytest.raises(SchemaUnavailable):
        schemas.check(event("shop.person", {"name": "ada"}))
    classes.is_away = False
    await schemas.load({"shop.person"})
    classes.is_away = True
    schemas.check(event("shop.person", {"name": "ada"}))
    assert await faults(schemas, event("shop.person", {})) == {"data.name": "is required"}


KERNEL = {
    "database": "catalog",
    "branch": "main",
    "class": "Person",
    "operation": "insert",
    "commit": "c",
    "subject": "Person/1",
}
CHANGE = {"id": "Person/1", "class": "Person", "operation": "insert", "changed": ["name"], "commit": "c", "etag": "e"}


@pytest.mark.parametrize(
    ("type", "attributes", "data", "field"),
    [
        ("ontomesh.document.Person", KERNEL, CHANGE, None),
        ("ontomesh.document.Person", KERNEL, CHANGE | {"document": {"name": "x"}, "later": 1}, None),
        ("ontomesh.ontology.changed", KERNEL, {"id": "@schema/Person", "operation": "replace", "commit": "c"}, None),
        ("ontomesh.document.Person", KERNEL, CHANGE | {"operation": "eat"}, "data.operation"),
        ("ontomesh.document.Person", KERNEL, CHANGE | {"changed": "name"}, "data.changed"),
        ("ontomesh.document.Person", KERNEL | {"branch": ""}, CHANGE, "branch"),
        ("ontomesh.document.Person", KERNEL | {"class": "Place"}, CHANGE, "class"),
        ("ontomesh.document.Person", {}, CHANGE, "database"),
        ("ontomesh.ontology.changed", KERNEL, {"id": "@schema/Person"}, "data.operation"),
    ],
)
async def test_the_kernels_events_are_checked_without_being_registered(
    schemas: TypeSchemas, type: str, attributes: dict[str, Any], data: dict[str, Any], field: str | None
) -> None:
    one = event(type, data, **attributes)
    if field is None:
        await schemas.load({type})
        schemas.check(one)
    else:
        assert field in await faults(schemas, one)


@pytest.mark.parametrize(
    ("schema", "field", "words"),
    [
        ("{", "json_schema", "not JSON"),
        ("[]", "json_schema", "neither an object"),
        ('{"type": "strin"}', "json_schema.type", "not valid"),
        ('{"properties": {"a": {"minLength": -1}}}', "json_schema.properties.a.minLength", "minimum"),
        ('{"properties": {"a": {"pattern": "("}}}', "json_schema.properties.a.pattern", "no regular expression"),
        ('{"pattern": "(?=a)b"}', "json_schema.pattern", "look-around"),
        ('{"pattern": "(a)\\\\1"}', "json_schema.pattern", "back-references"),
        ('{"pattern": "(\\\\w{500}){500}"}', "json_schema.pattern", "too large"),
        ('{"$ref": "https://example.com/other"}', "json_schema", "outside the schema"),
        ('{"$ref": "file:///etc/hosts"}', "json_schema", "outside the schema"),
        ('{"$ref": "#/$defs/none"}', "json_schema", "does not exist"),
        ('{"$schema": "http://json-schema.org/draft-07/schema#"}', "json_schema.$schema", "one draft"),
        ('{"not":' * 65 + "{}" + "}" * 65, "json_schema", "nested deeper"),
    ],
)
async def test_a_schema_that_is_none_is_refused_where_it_is_wrong(
    types: EventTypes, records: MemoryRecords, schema: str, field: str, words: str
) -> None:
    with pytest.raises(InvalidSchema) as refused:
        await types.put(ANA, order_type(json_schema=schema))
    (violation,) = refused.value.violations
    assert violation.field == field
    assert words in violation.description
    assert not records.all()


@pytest.mark.parametrize(
    "text", ["true", "{}", '{"$ref": "#"}', '{"$id": "urn:x", "$defs": {"a": {"$ref": "#/$defs/a"}}}']
)
def test_a_schema_may_refer_to_itself(text: str) -> None:
    compile_text(text).check(event("x", {"a": 1}))


@pytest.mark.parametrize(
    ("wanted", "kind", "field"),
    [
        (order_type(name=""), InvalidRequest, "name"),
        (order_type(name="a b"), InvalidRequest, "name"),
        (order_type(name="a*"), InvalidRequest, "name"),
        (order_type(name="x" * 257), InvalidRequest, "name"),
        (order_type(name="ontomesh.document.Person"), InvalidRequest, "name"),
        (order_type(description="ä" * 2049), InvalidRequest, "description"),
        (order_type(json_schema=""), InvalidRequest, "schema"),
        (order_type(json_schema='{"x": "' + "x" * 2**18 + '"}'), TooLarge, "json_schema"),
        (EventType("a", ontology_class=ClassName("", "", "Person")), InvalidRequest, "ontology_class.database"),
        (EventType("a", ontology_class=ClassName("c", "", "")), InvalidRequest, "ontology_class.name"),
        (EventType("a", ontology_class=ClassName("c", "main~1", "A")), InvalidRequest, "ontology_class.branch"),
        (EventType("a", ontology_class=ClassName("catalog", "", "None")), InvalidSchema, "ontology_class.name"),
        (order_type(etag="abc"), EtagMismatch, "etag"),
    ],
)
async def test_a_type_that_cannot_be_is_refused(
    types: EventTypes, wanted: EventType, kind: type[GatewayError], field: str
) -> None:
    with pytest.raises(kind) as refused:
        await types.put(ANA, wanted)
    assert [violation.field for violation in refused.value.violations] == [field]


async def test_types_are_created_replaced_listed_and_deleted(types: EventTypes) -> None:
    made = await types.put(ANA, order_type(description="An order"))
    assert (made.author, made.etag != "", made.update_time > 0) == ("user:ana", True, True)
    again = await types.put(ANA, order_type(etag=made.etag))
    assert again.etag != made.etag
    with pytest.raises(EtagMismatch) as refused:
        await types.put(ANA, order_type(etag=made.etag))
    assert refused.value.metadata == {"etag": again.etag}
    for name in ("b", "a", "c"):
        await types.put(ANA, order_type(name=name))
    first = types.list(3, "")
    rest = types.list(3, first.next_page_token)
    assert [one.name for one in (*first.event_types, *rest.event_types)] == ["a", "b", "c", "shop.order"]
    assert rest.next_page_token == ""
    with pytest.raises(InvalidPageToken):
        types.list(3, "nonsense")
    with pytest.raises(EtagMismatch):
        await types.delete(ANA, "shop.order", made.etag)
    await types.delete(ANA, "shop.order", again.etag)
    with pytest.raises(EventTypeNotFound) as missing:
        types.get("shop.order")
    assert missing.value.metadata == {"type": "shop.order"}
    with pytest.raises(EventTypeNotFound):
        await types.delete(ANA, "shop.order", "")


async def test_what_is_built_in_can_be_looked_at(types: EventTypes) -> None:
    assert "changed" in json.loads(types.get("ontomesh.document.Person").json_schema)["properties"]
    assert json.loads(types.get("ontomesh.ontology.changed").json_schema)["$schema"] == DRAFT
    with pytest.raises(EventTypeNotFound):
        types.get("ontomesh.document.")


async def test_only_administrators_of_everything_register_types(types: EventTypes, records: MemoryRecords) -> None:
    with pytest.raises(PermissionDenied):
        await types.put(BOB, order_type())
    await types.put(ANA, order_type())
    with pytest.raises(PermissionDenied):
        await types.delete(BOB, "shop.order", "")
    records.is_away = True
    with pytest.raises(BrokerUnavailable):
        await types.put(ANA, order_type())
    assert types.get("shop.order").name == "shop.order"
