import json
from pathlib import Path

import pytest

from ontomesh_data_kernel.domain.ontology import EMPTY, parse_schema
from ontomesh_data_kernel.domain.query.language import compile_query, fingerprint, render, render_order
from ontomesh_data_kernel.domain.query.paths import Paths
from ontomesh_data_kernel.domain.query.shaping import resolve_expand, resolve_fields
from ontomesh_data_kernel.domain.query.tree import And, Compare, In, Not, Op, Or, Query
from ontomesh_data_kernel.errors import InvalidFilter, InvalidRequest, UnknownClass

LIBRARY = parse_schema(json.loads(Path(__file__).with_name("vectors").joinpath("library.json").read_bytes()))


def compiled(filter: str, order_by: str = "", type: str = "Package") -> Query:
    return compile_query(LIBRARY, type, False, filter, order_by)


def printed(filter: str) -> str:
    where = compiled(filter).where
    assert where is not None
    return render(where)


MEANINGS = [
    ('name = "x"', 'name = "x"'),
    ("name='x'", 'name = "x"'),
    ("name = x", 'name = "x"'),
    (r'name = "a\"b\\c\*d"', r'name = "a\"b\\c\*d"'),
    ('name = "lib*"', 'name = "lib*"'),
    ("name = lib*", 'name = "lib*"'),
    (r'name = "lib\*"', r'name = "lib\*"'),
    ('name != "lib*"', 'name != "lib*"'),
    ('name = ""', 'name = ""'),
    ("name != x", 'name != "x"'),
    ("NOT name = x", 'name != "x"'),
    ("-name = x", 'name != "x"'),
    ("NOT name != x", 'name = "x"'),
    ("name:x", 'name = "x"'),
    ("tags:*", "tags:*"),
    ("-tags:*", "NOT tags:*"),
    ("name:* AND NOT (free = true AND tags:*)", "name:* AND NOT (free = true AND tags:*)"),
    ("name = a name = b", 'name = "a" AND name = "b"'),
    ("name = a AND name = b OR name = c", 'name = "a" AND (name = "b" OR name = "c")'),
    ("(name = a AND name = b) OR name = c", '(name = "a" AND name = "b") OR name = "c"'),
    ("name = a (name = b name = c)", 'name = "a" AND name = "b" AND name = "c"'),
    ("((name = a))", 'name = "a"'),
    ('licence in ("MIT", GPL)', 'licence in ("MIT", "GPL")'),
    ("licence in [MIT]", 'licence in ("MIT")'),
    ("licence IN (MIT,MIT)", 'licence in ("MIT")'),
    ("version in (1, 1.0, 1.10)", "version in (1, 1.1)"),
    ('version = "1.10"', "version = 1.1"),
    ("version >= -.5", "version >= -0.5"),
    ("downloads < 10", "downloads < 10"),
    ("downloads = -5", "downloads = -5"),
    ("scores > 123456789012345678901234567890", "scores > 123456789012345678901234567890"),
    ("ratio <= 1e3", "ratio <= 1000.0"),
    ("ratio = 1e+22", "ratio = 1e+22"),
    ("free = true", "free = true"),
    ('free = "false"', "free = false"),
    ("digest = 0aff", 'digest = "0AFF"'),
    ("released > 2026-01-01T00:30:00+01:00", 'released > "2025-12-31T23:30:00Z"'),
    ("day = 2026-01-01", 'day = "2026-01-01"'),
    ("support = P14M", 'support = "P1Y2M"'),
    ("requires = Package/a", 'requires = "Package/a"'),
    ("requires.@id = Package/a", 'requires = "Package/a"'),
    ("requires = Plugin/a", 'requires = "Plugin/a"'),
    ("host = Package/a", 'host = "Package/a"'),
    ("requires.@type = Plugin", 'requires.@type = "Plugin"'),
    ("@type = Plugin", '@type = "Plugin"'),
    ("@id in (Package/a, Plugin/b)", '@id in ("Package/a", "Plugin/b")'),
    ("requires.requires.author.home.city = Rome", 'requires.requires.author.home.city = "Rome"'),
    ("made.country.area > 1.5", "made.country.area > 1.5"),
    ("made.@type = Place", 'made.@type = "Place"'),
    ("extra:* made:* sold:*", "extra:* AND made:* AND sold:*"),
    ("\t name \n=\r x ", 'name = "x"'),
]


@pytest.mark.parametrize(("filter", "meaning"), MEANINGS, ids=str)
def test_a_filter_means_what_it_prints_and_prints_itself(filter: str, meaning: str) -> None:
    assert printed(filter) == meaning
    assert printed(meaning) == meaning


FAULTS = [
    ("lib", 1, "there is no search in all properties"),
    ('"lib"', 1, "there is no search in all properties"),
    ("name = a lib", 10, "there is no search in all properties"),
    ("(lib) name = a", 2, "there is no search in all properties"),
    ("name", 1, "compared with nothing"),
    ("name =", 7, "a value is due, found the end"),
    ("name = = a", 8, "a value is due, found '='"),
    ("name == a", 7, "a value is due, found '='"),
    ("name ~ a", 6, "a comparison is due, found '~'"),
    ("name = a)", 9, "a term or the end is due, found ')'"),
    ("(name = a", 1, "parenthesis is not closed"),
    ("name = (a)", 8, "a value is due"),
    ("()", 2, "a property is due, found ')'"),
    ("AND name = a", 1, "a term is due, found AND"),
    ("name = a AND", 13, "a property is due, found the end"),
    ("name = a OR OR name = b", 13, "a term is due, found OR"),
    ("NOT NOT name = a", 5, "a term is due, found NOT"),
    ('name = "a', 8, "is not closed"),
    ('name = "a*b"', 10, "at its end only"),
    ("name = a*b", 10, "compared with nothing"),
    (r'name = "\n"', 9, "a backslash stands before"),
    ('name = "a\\', 10, "a backslash stands before"),
    ("name in x", 9, "a list is due after in"),
    ("name in (a", 9, "not closed with )"),
    ("name in (a]", 11, "a comma or ) is due"),
    ("name in ()", 10, "a value is due"),
    ('name in ("a*")', 10, "a list holds no prefixes"),
    ("naem = a", 1, "did you mean name?"),
    ("requires.naem = a", 10, "did you mean name?"),
    ("made.ctiy = a", 6, "no property 'ctiy' in Place; did you mean city?"),
    ("name.x = a", 6, "holds values, which no path leads into"),
    ("extra.x = a", 7, "holds any JSON"),
    ("made.@id = a", 6, "a subdocument has no @id"),
    ("@id.x = a", 5, "no path leads into"),
    ("made = a", 1, "compare one of their properties"),
    ("extra = a", 1, "holds any JSON"),
    ("version = x", 11, "where a decimal is due"),
    ("downloads = 1.5", 13, "an integer"),
    ("downloads = 9999999999", 13, "where an integer of -2147483648"),
    ("downloads > x", 13, "where an integer"),
    ("ratio = 1e999", 9, "beyond the range"),
    ("free = yes", 8, "where true or false is due"),
    ("released > 2026-01-01", 12, "where a date and time"),
    ("day = 2026-02-30", 7, "where a date such as"),
    ("support = 1h", 11, "where a duration"),
    ("licence = MTI", 11, "'MTI' is not a value of Licence; did you mean MIT?"),
    ("licence in (MIT, X)", 18, "is not a value of Licence"),
    ("licence = M*", 11, "an enum, which has no prefixes"),
    ("licence < MIT", 9, "an enum and has no order"),
    ("free > true", 6, "has no order"),
    ("requires > Package/a", 10, "a link and has no order"),
    ("requires = Package/*", 12, "a link, which has no prefixes"),
    ("digest > 00", 8, "has no order"),
    ("downloads = 1*", 13, "which has no prefixes"),
    ("name < a*", 8, "a prefix goes with = and != only"),
    ("requires = a", 12, "not of the form Class/key"),
    ("requires = Person/a", 12, "is not the id of a Package"),
    ("@id = Person/a", 7, "is not the id of a Package or Plugin"),
    ("@type = Packag", 9, "did you mean Package?"),
    ("requires.@type = Person", 18, "not a class that it can be"),
    (".".join(["requires"] * 8) + ".name = a", 73, "at most 8 names"),
    ("(" * 33 + "name = a" + ")" * 33, 33, "at most 32 parentheses"),
    ("name = a " * 101, 901, "at most 100 terms"),
    (f"name = {'x' * 8_190}", 1, "at most 8,192 are allowed"),
    (f"name in ({','.join('a' * 1_001)})", 2010, "at most 1,000 values"),
    ("name = \ud800", 8, "surrogate"),
    ("name = 'é' AND 名 = a", 16, "no property '名'"),
]


@pytest.mark.parametrize(
    ("filter", "column", "description"), FAULTS, ids=lambda value: str(value)[:40].encode("ascii", "replace").decode()
)
def test_a_fault_is_told_with_its_column(filter: str, column: int, description: str) -> None:
    with pytest.raises(InvalidFilter) as refused:
        compiled(filter)
    (violation,) = refused.value.violations
    assert (violation.field, refused.value.metadata) == ("filter", {"column": str(column)})
    assert violation.description.startswith(f"column {column}: ")
    assert description in violation.description


def test_a_filter_at_its_limits_is_accepted() -> None:
    assert isinstance(compiled("name = a " * 100).where, And)
    assert isinstance(compiled("(" * 32 + "name = a" + ")" * 32).where, Compare)
    values = compiled(f"scores in ({','.join(map(str, range(1_000)))})").where
    assert isinstance(values, In)
    assert len(values.values) == 1_000
    assert compiled(".".join(["requires"] * 7) + ".name = a").where is not None


def test_a_filter_has_the_tree_of_its_precedence() -> None:
    where = compiled("name = a OR NOT free = true AND version < 2").where
    assert isinstance(where, And)
    first, second = where.terms
    assert isinstance(first, Or)
    assert isinstance(first.terms[1], Not)
    assert isinstance(second, Compare)
    assert (second.op, second.path.type) == (Op.LT, "xsd:decimal")


def test_hops_name_the_classes_that_they_pass() -> None:
    where = compiled("requires.made.country.name = x").where
    assert isinstance(where, Compare)
    requires, made, country, name = where.path.hops
    assert (requires.classes, requires.targets, requires.is_embedded) == (
        ("Package", "Plugin"),
        ("Package", "Plugin"),
        False,
    )
    assert (made.targets, made.is_embedded) == (("Place",), True)
    assert (country.classes, country.targets) == (("Place",), ("Country",))
    assert (name.targets, where.path.type) == ((), "xsd:string")
    host = compiled("host.name = x").where
    assert isinstance(host, Compare)
    assert host.path.hops[0].classes == ("Plugin",)


def test_classes_are_concrete_sorted_and_never_of_subdocuments() -> None:
    assert compiled("").classes == ("Package", "Plugin")
    assert compile_query(LIBRARY, "Package", True, "", "").classes == ("Package",)
    assert compiled("", type="").classes == ("Country", "Package", "Person", "Plugin")
    assert compiled('name = "x"', type="Named").classes == ("Package", "Person", "Plugin")
    assert compile_query(LIBRARY, "Named", True, "name = x", "").classes == ()
    assert compile_query(EMPTY, "", False, "", "").classes == ()
    with pytest.raises(UnknownClass, match="did you mean Package") as unknown:
        compiled("", type="Packag")
    assert unknown.value.violations[0].field == "type"
    with pytest.raises(InvalidRequest, match="a class of subdocuments"):
        compiled("", type="Place")


def test_a_property_of_different_types_wants_a_class_named() -> None:
    with pytest.raises(InvalidFilter, match=r"version is xsd:decimal in Package but xsd:string in Person"):
        compiled("version = 1", type="Named")


@pytest.mark.parametrize(
    ("order_by", "printed"),
    [
        ("name", "name"),
        (" version  desc ,name asc", "version desc, name"),
        ("made.city,licence desc,free", "made.city, licence desc, free"),
        ("@id desc", "@id desc"),
        ("", ""),
    ],
)
def test_an_order_is_of_single_values(order_by: str, printed: str) -> None:
    assert render_order(compiled("", order_by).order) == printed


@pytest.mark.parametrize(
    ("order_by", "column", "description"),
    [
        ("naem", 1, "did you mean name?"),
        ("name, naem", 7, "did you mean name?"),
        ("name up", 6, "a comma is due, found 'up'"),
        ("name,", 6, "a property is due, found the end"),
        (",", 1, "a property is due"),
        ("name DESC", 6, "a comma is due"),
        ("tags", 1, "may hold several values"),
        ("sold.city", 1, "may hold several values"),
        ("author", 1, "leads over links"),
        ("author.name", 1, "leads over links"),
        ("made", 1, "has no order"),
        ("extra", 1, "has no order"),
        ("name, made.city, name desc", 18, "is named twice"),
        ("name,version,downloads,ratio,free", 30, "at most 4"),
        ("x" * 1_025, 1, "at most 1,024"),
    ],
)
def test_a_wrong_order_is_told_with_its_column(order_by: str, column: int, description: str) -> None:
    with pytest.raises(InvalidFilter) as refused:
        compiled("", order_by)
    (violation,) = refused.value.violations
    assert (violation.field, refused.value.metadata["column"]) == ("order_by", str(column))
    assert description in violation.description


def test_fields_are_kept_by_name_and_the_whole_holds_its_parts() -> None:
    paths = Paths(LIBRARY, ("Package",))
    assert resolve_fields(paths, []) is None
    assert resolve_fields(paths, ["@id"]) == {}
    assert resolve_fields(paths, ["name", "made.city", "made.country", "tags"]) == {
        "name": None,
        "made": {"city": None, "country": None},
        "tags": None,
    }
    assert resolve_fields(paths, ["made", "made.city"]) == {"made": None}
    assert resolve_fields(paths, ["made.city", "made"]) == {"made": None}


def test_expansions_share_their_beginnings() -> None:
    paths = Paths(LIBRARY, ("Package",))
    assert resolve_expand(paths, []) == {}
    assert resolve_expand(paths, ["requires.author.home.country", "requires.requires", "made.country"]) == {
        ("requires",): {("author",): {("home", "country"): {}}, ("requires",): {}},
        ("made", "country"): {},
    }


@pytest.mark.parametrize(
    ("kind", "paths", "field", "description"),
    [
        ("fields", ["name", "naem"], "fields[1]", "did you mean name?"),
        ("fields", ["author.name"], "fields[0]", "leads over a link"),
        ("fields", ["author.@id"], "fields[0]", "need not be named"),
        ("fields", [""], "fields[0]", "is a path"),
        ("fields", ["name."], "fields[0]", "no path leads into"),
        ("fields", ["name"] * 101, "fields", "at most 100"),
        ("expand", ["author", "name"], "expand[1]", "is no link"),
        ("expand", ["made"], "expand[0]", "is no link"),
        ("expand", ["requres"], "expand[0]", "did you mean requires?"),
        ("expand", ["requires.@id"], "expand[0]", "need not be named"),
        ("expand", ["@id"], "expand[0]", "is no link"),
        ("expand", [".".join(["requires"] * 6)], "expand[0]", "at most 5"),
        ("expand", [".".join(["requires"] * 900)], "expand[0]", "1 to 2,048 characters"),
        ("expand", ["author"] * 21, "expand", "at most 20"),
    ],
)
def test_wrong_paths_of_an_answer_are_told_with_their_field(
    kind: str, paths: list[str], field: str, description: str
) -> None:
    resolve = {"fields": resolve_fields, "expand": resolve_expand}[kind]
    with pytest.raises(InvalidRequest) as refused:
        resolve(Paths(LIBRARY, ("Package",)), paths)
    (violation,) = refused.value.violations
    assert violation.field == field
    assert description in violation.description


def test_a_fingerprint_is_of_what_is_asked_and_not_of_how() -> None:
    same = {fingerprint(compiled(text, "name")) for text in ("version = 1.10", 'version="1.1"', "(version = 1.1)")}
    assert len(same) == 1
    others = [
        compiled("version = 1.2", "name"),
        compiled("version = 1.1", "name desc"),
        compiled("version = 1.1"),
        compiled("", "name"),
        compile_query(LIBRARY, "Package", True, "version = 1.1", "name"),
    ]
    assert len({fingerprint(query) for query in others} | same) == 6
