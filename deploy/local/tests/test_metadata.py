from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from ontomesh_local.metadata import UnreadableMetadata, parse, read


def fields(*lines: str, name: str = "Demo") -> str:
    return "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines, "", "A long description."])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "demo-1.0.dist-info"
    path.mkdir()
    return path


def distribution(folder: Path) -> Distribution:
    return PathDistribution(folder)


def test_names_are_normalised_and_the_title_keeps_its_spelling() -> None:
    found = parse(fields(name="Zope.Interface__X"))
    assert (found.name, found.title) == ("zope-interface-x", "Zope.Interface__X")


@pytest.mark.parametrize(
    "text", ["Version: 1.0\n", "Name:\nVersion: 1.0\n", "Name: UNKNOWN\n", "Name: not a name\n", ""]
)
def test_metadata_without_a_valid_name_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableMetadata):
        parse(text)


def test_a_folder_without_metadata_is_unreadable(folder: Path) -> None:
    with pytest.raises(UnreadableMetadata, match="no metadata"):
        read(distribution(folder))


def test_metadata_that_is_not_utf8_is_unreadable_and_says_where(folder: Path) -> None:
    (folder / "METADATA").write_bytes(b"Name: demo\nAuthor: Sebasti\xe1n\n")
    with pytest.raises(UnreadableMetadata, match="not UTF-8 at byte 26"):
        read(distribution(folder))


def test_requirements_are_told_apart_by_their_extras() -> None:
    found = parse(
        fields(
            "Requires-Dist: Anyio>=4",
            'Requires-Dist: colorama; sys_platform == "win32"',
            'Requires-Dist: rich ; extra == "cli"',
            'Requires-Dist: anyio[trio]; extra == "trio"',
            "Requires-Dist: here @ file:///somewhere/here.whl",
        )
    )
    assert found.requires == {"anyio", "colorama", "here"}
    assert found.extras == {"rich"}


def test_requirement_lines_that_are_none_are_faults_and_the_others_count() -> None:
    found = parse(fields("Requires-Dist: anyio (>=4", "Requires-Dist: ???", "Requires-Dist: rich"))
    assert found.requires == {"rich"}
    assert found.faults == ("not a requirement: 'anyio (>=4'", "not a requirement: '???'")


def test_an_egg_tells_its_requirements_in_a_file_of_their_own(tmp_path: Path) -> None:
    egg = tmp_path / "demo.egg-info"
    egg.mkdir()
    (egg / "PKG-INFO").write_text(fields())
    (egg / "requires.txt").write_text("anyio>=4\n\n[cli]\nrich\n")
    found = read(distribution(egg))
    assert found.requires == {"anyio"}
    assert found.extras == {"rich"}


def test_authors_keep_their_letters_and_their_addresses() -> None:
    found = parse(fields('Author-email: "Łukasz Langa" <lukasz@example.com>, Sebastián Ramírez <seb@example.com>'))
    assert found.authors == {"Łukasz Langa": {"lukasz@example.com"}, "Sebastián Ramírez": {"seb@example.com"}}


def test_authors_in_encoded_words_are_decoded() -> None:
    assert list(parse(fields("Author: =?utf-8?q?Tin_Tvrtkovi=C4=87?=")).authors) == ["Tin Tvrtković"]


@pytest.mark.parametrize(
    ("lines", "authors"),
    [
        (["Author: Ana", "Author-email: ana@example.com"], {"Ana": {"ana@example.com"}}),
        (["Author: Ana, Ben", "Author-email: team@example.com"], {"Ana": set(), "Ben": set()}),
        (["Author: Example, Inc., Ana"], {"Example, Inc.": set(), "Ana": set()}),
        (["Author-email: ana@example.com"], {"ana@example.com": {"ana@example.com"}}),
        (["Author: UNKNOWN", "Author-email: UNKNOWN"], {}),
        (["Author-email: nobody"], {}),
    ],
)
def test_authors_are_read_from_both_fields(lines: list[str], authors: dict[str, set[str]]) -> None:
    assert parse(fields(*lines)).authors == authors


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (["License-Expression: Apache-2.0 OR MIT", "License: see LICENSE"], "Apache-2.0 OR MIT"),
        (["License: MIT License"], "MIT"),
        (["License: UNKNOWN", "Classifier: License :: OSI Approved :: MIT License"], "MIT"),
        (["License: " + "Permission is hereby granted " * 9, "Classifier: License :: OSI Approved :: ISC License (ISCL)"], "ISC"),
        (
            [
                "Classifier: License :: OSI Approved :: MIT License",
                "Classifier: License :: OSI Approved :: Apache Software License",
            ],
            "Apache-2.0 OR MIT",
        ),
        (["License: Something of our own"], "Something of our own"),
        ([], ""),
    ],
)  # fmt: skip
def test_the_licence_is_named_as_well_as_the_metadata_allows(lines: list[str], licence: str) -> None:
    assert parse(fields(*lines)).licence == licence


def test_what_else_a_distribution_says() -> None:
    found = parse(
        fields(
            "Summary: One",
            "        sentence.",
            "Classifier: Development Status :: 5 - Production/Stable",
            "Requires-Python: >=3.11",
            "Keywords: a,b ,, c",
            "Project-URL: Documentation, https://docs.example.com",
            "Project-URL: Home Page, https://example.com",
        )
    )
    assert found.summary == "One sentence."
    assert found.maturity == "stable"
    assert found.requires_python == ">=3.11"
    assert found.keywords == {"a", "b", "c"}
    assert found.home_page == "https://example.com"
