"""Every Python distribution of an environment as documents: `python -m ontomesh_local.distributions`.

Prints one document a line (NDJSON), or with --schema the ontology that they obey.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata as installed
from importlib.resources import files
from urllib.parse import quote

from ontomesh_local.metadata import Metadata, UnreadableMetadata, read

Document = dict[str, object]

_KEY_SAFE = "!$&'()*,;=@"
"""What a Lexical key leaves as it is, besides letters, digits and `-._~`."""


def schema() -> str:
    """The ontology of the documents, as the text of a JSON array."""
    return files("ontomesh_local").joinpath("distributions.json").read_text("utf-8")


def collect(distributions: Iterable[installed.Distribution]) -> tuple[list[Metadata], list[str]]:
    """The metadata of distributions by name, and what was wrong with some of them.

    Of several with one name the first counts: it is the one that an import finds.
    """
    found: dict[str, Metadata] = {}
    faults: list[str] = []
    for distribution in distributions:
        try:
            metadata = read(distribution)
        except UnreadableMetadata as fault:
            # Where it lies is the one thing that such a distribution tells, and only privately.
            faults.append(f"left out {getattr(distribution, '_path', 'a distribution')}: {fault}")
            continue
        if metadata.name not in found:
            found[metadata.name] = metadata
            faults += [f"{metadata.name}: {fault}" for fault in metadata.faults]
    return [found[name] for name in sorted(found)], faults


def documents(found: Iterable[Metadata]) -> Iterator[Document]:
    """The documents of all distributions: licences, authors, then distributions, each kind by name.

    What is required and not among them becomes a document with a name and no version.
    """
    found = list(found)
    for name in sorted({metadata.licence for metadata in found} - {""}):
        yield {"@id": identifier("Licence", name), "@type": "Licence", "name": name}
    emails: dict[str, set[str]] = {}
    for metadata in found:
        for author, addresses in metadata.authors.items():
            emails.setdefault(author, set()).update(addresses)
    for author in sorted(emails):
        document: Document = {"@id": identifier("Author", author), "@type": "Author", "name": author}
        yield document | _present(emails=sorted(emails[author]))
    known = {metadata.name: _distribution(metadata) for metadata in found}
    for name in sorted({name for metadata in found for name in metadata.requires | metadata.extras} - known.keys()):
        known[name] = {"@id": identifier("Distribution", name), "@type": "Distribution", "name": name}
    for name in sorted(known):
        yield known[name]


def identifier(kind: str, name: str) -> str:
    """The id that a Lexical key over `name` gives, so that links can be written before anything is stored."""
    return f"{kind}/{quote(name, safe=_KEY_SAFE)}"


def _distribution(metadata: Metadata) -> Document:
    document: Document = {
        "@id": identifier("Distribution", metadata.name),
        "@type": "Distribution",
        "name": metadata.name,
    }
    return document | _present(
        title=metadata.title if metadata.title != metadata.name else "",
        version=metadata.version,
        summary=metadata.summary,
        home_page=metadata.home_page,
        requires_python=metadata.requires_python,
        maturity=metadata.maturity,
        licence=identifier("Licence", metadata.licence) if metadata.licence else "",
        authors=sorted(identifier("Author", name) for name in metadata.authors),
        requires=sorted(identifier("Distribution", name) for name in metadata.requires),
        extras=sorted(identifier("Distribution", name) for name in metadata.extras),
        keywords=sorted(metadata.keywords),
    )


def _present(**properties: object) -> Document:
    """Only the properties that say something: an absent Optional and an empty Set are left out."""
    return {name: value for name, value in properties.items() if value}


def main(arguments: list[str] | None = None) -> int:
    """Prints the documents of this environment, or their schema."""
    parser = argparse.ArgumentParser(prog="python -m ontomesh_local.distributions", description=__doc__)
    parser.add_argument("--schema", action="store_true", help="print the ontology instead")
    if parser.parse_args(arguments).schema:
        sys.stdout.write(schema())
        return 0
    found, faults = collect(installed.distributions())
    for fault in faults:
        print(f"note: {fault}", file=sys.stderr)
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr] # JSON is UTF-8 whatever the locale says
    for document in documents(found):
        print(json.dumps(document, ensure_ascii=False, separators=(",", ":")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
