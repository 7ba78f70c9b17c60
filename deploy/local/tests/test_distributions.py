import json
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from ontomesh_local.distributions import Document, collect, documents, identifier, main, schema


def installed(tmp_path: Path, name: str, *lines: str, place: str = "site") -> Distribution:
    folder = tmp_path / place / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    text = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines, ""])
    (folder / "METADATA").write_text(text, "utf-8")
    return PathDistribution(folder)


def by_id(found: list[Distribution]) -> dict[str, Document]:
    return {str(document["@id"]): document for document in documents(collect(found)[0])}


def test_what_is_required_and_not_installed_is_a_document_without_a_version(tmp_path: Path) -> None:
    found = by_id([installed(tmp_path, "app", "Requires-Dist: Away>=2", 'Requires-Dist: far; extra == "x"')])
    assert found["Distribution/app"] == {
        "@id": "Distribution/app",
        "@type": "Distribution",
        "name": "app",
        "version": "1.0",
        "requires": ["Distribution/away"],
        "extras": ["Distribution/far"],
    }
    assert found["Distribution/away"] == {"@id": "Distribution/away", "@type": "Distribution", "name": "away"}
    assert "version" not in found["Distribution/far"]


def test_of_several_distributions_of_one_name_the_first_counts(tmp_path: Path) -> None:
    first = installed(tmp_path, "Twice", "Summary: first")
    second = installed(tmp_path, "twice", "Summary: second", place="other")
    found = by_id([first, second])
    assert list(found) == ["Distribution/twice"]
    assert found["Distribution/twice"]["summary"] == "first"


def test_unreadable_distributions_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "broken.dist-info").mkdir()
    found, faults = collect([PathDistribution(tmp_path / "broken.dist-info"), installed(tmp_path, "app")])
    assert [metadata.name for metadata in found] == ["app"]
    assert len(faults) == 1
    assert "broken.dist-info: it has no metadata" in faults[0]


def test_faulty_requirements_are_named_with_their_distribution(tmp_path: Path) -> None:
    _found, faults = collect([installed(tmp_path, "app", "Requires-Dist: ???")])
    assert faults == ["app: not a requirement: '???'"]


def test_an_author_of_several_distributions_is_one_document_with_all_addresses(tmp_path: Path) -> None:
    first = installed(tmp_path, "one", "Author-email: Ana Ćosić <ana@example.com>")
    second = installed(tmp_path, "two", "Author-email: Ana Ćosić <ana@example.org>")
    found = by_id([first, second])
    author = found["Author/Ana%20%C4%86osi%C4%87"]
    assert author["emails"] == ["ana@example.com", "ana@example.org"]
    assert found["Distribution/one"]["authors"] == found["Distribution/two"]["authors"] == [author["@id"]]


def test_every_link_leads_to_a_document_of_its_class_and_every_id_is_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ids = [line["@id"] for line in lines]
    assert len(set(ids)) == len(ids)
    assert {line["@type"] for line in lines} == {"Author", "Distribution", "Licence"}
    links = {link for line in lines for name in ("authors", "requires", "extras") for link in line.get(name, ())}
    links |= {line["licence"] for line in lines if "licence" in line}
    assert links <= set(ids)
    assert all(line["@id"].startswith(f"{line['@type']}/") for line in lines)
    assert next(line for line in lines if line["@id"] == "Distribution/ontomesh-local")["version"]


def test_documents_hold_only_what_the_schema_names(capsys: pytest.CaptureFixture[str]) -> None:
    elements = {element["@id"]: element for element in json.loads(schema())}
    assert main([]) == 0
    for document in map(json.loads, capsys.readouterr().out.splitlines()):
        kind = elements[document["@type"]]
        assert document.keys() <= {"@id", *kind, *elements[kind["@inherits"]]}
        assert document.get("maturity", "alpha") in elements["Maturity"]["@value"]


def test_the_schema_is_printed_as_it_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema"]) == 0
    assert capsys.readouterr().out == schema()


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("MIT", "Licence/MIT"),
        ("MIT OR (Apache-2.0)", "Licence/MIT%20OR%20(Apache-2.0)"),
        ("a/b+c", "Licence/a%2Fb%2Bc"),
        ("O'Neil, Ana & Co; 50%", "Licence/O'Neil,%20Ana%20&%20Co;%2050%25"),
        ("Łódź", "Licence/%C5%81%C3%B3d%C5%BA"),
    ],
)
def test_ids_are_those_that_a_lexical_key_makes(name: str, id_: str) -> None:
    assert identifier("Licence", name) == id_
