"""Documents of the shape of Debian's package index."""

import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from urllib.parse import quote

SCHEMA = [
    {
        "@type": "Class",
        "@id": "Package",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "name": "xsd:string",
        "version": {"@type": "Optional", "@class": "xsd:string"},
        "section": {"@type": "Optional", "@class": "xsd:string"},
        "summary": {"@type": "Optional", "@class": "xsd:string"},
        "homepage": {"@type": "Optional", "@class": "xsd:anyURI"},
        "installed_size": {"@type": "Optional", "@class": "xsd:integer"},
        "note": {"@type": "Optional", "@class": "xsd:string"},
        "depends": {"@type": "Set", "@class": "Package"},
        "recommends": {"@type": "Set", "@class": "Package"},
        "suggests": {"@type": "Set", "@class": "Package"},
    },
]
BODY_BYTES = 434
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


def body_of_size(name: str, size: int = BODY_BYTES) -> bytes:
    """A package without links whose body has about `size` bytes."""
    bare = {"@type": "Package", "name": name, "version": "1.0-1", "section": "net", "summary": ""}
    room = size - len(json.dumps({**bare, "@id": f"Package/{name}"}, separators=(",", ":")))
    return json.dumps({**bare, "summary": "x" * max(room, 0)}).encode()


def packages(limit: int) -> tuple[str, list[dict[str, object]]]:
    """Where they are from, and packages that link to each other."""
    if shutil.which("apt-cache"):
        # The larger half of the stanzas, those of the usual size of a package; all of them if it takes all.
        for smallest in (750, 0):
            found = list(_debian(limit, smallest))
            if len(found) >= limit:
                return "apt-cache dumpavail", found
    return "generated", list(_generated(limit))


def _debian(limit: int, smallest: int) -> Iterator[dict[str, object]]:
    text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=False).stdout
    stanzas: dict[str, dict[str, str]] = {}
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): (.+)$", stanza, re.MULTILINE))
        if fields.get("Package") and len(stanza) > smallest and len(stanzas) < limit:
            stanzas[fields["Package"]] = fields
    for name, fields in stanzas.items():
        targets = {
            field: sorted({package_id(one) for one in _NAME.findall(fields.get(field, "")) if one in stanzas})
            for field in ("Depends", "Recommends", "Suggests")
        }
        yield {
            "@type": "Package",
            "name": name,
            "version": fields.get("Version", "0"),
            "section": fields.get("Section", ""),
            "summary": (fields.get("Description-en") or fields.get("Description") or "")[:160],
            "homepage": fields.get("Homepage", "http://localhost/"),
            "note": fields.get("Maintainer", ""),
            "installed_size": int(fields.get("Installed-Size", "0")),
            "depends": targets["Depends"],
            "recommends": targets["Recommends"],
            "suggests": targets["Suggests"],
        }


def package_id(name: str) -> str:
    """The id that the key makes of a name."""
    return f"Package/{quote(name, safe='')}"


def _generated(limit: int) -> Iterator[dict[str, object]]:
    draw = random.Random(11)
    for number in range(limit):
        targets = {package_id(f"package-{draw.randrange(limit)}") for _ in range(draw.choice([1, 2, 3, 4, 5, 5, 6, 9]))}
        yield {
            "@type": "Package",
            "name": f"package-{number}",
            "version": f"{number % 9}.{number % 7}-1",
            "section": draw.choice(["net", "libs", "python", "devel"]),
            "summary": "x" * 160,
            "installed_size": draw.randrange(10, 100_000),
            "depends": sorted(targets),
        }
