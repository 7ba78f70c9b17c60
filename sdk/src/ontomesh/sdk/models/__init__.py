"""Documents as pydantic models, from which an ontology can be derived.

    class Person(DocumentModel, key=lexical("name")):
        '''Somebody who writes packages.'''
        name: str

    class Package(DocumentModel, key=lexical("name")):
        '''A distribution.'''
        name: str
        version: str | None = None
        author: Link[Person] | None = None
        requires: set[Link["Package"]] = set()

    database.apply_ontology([Package])
    database.insert(Package(name="numpy"))
    database.get("Package/numpy", model=Package)

Only this part of the SDK imports pydantic.
"""

from ontomesh.sdk.models.document import DocumentModel
from ontomesh.sdk.models.keys import Key, hashed, lexical, random_key, value_hash
from ontomesh.sdk.models.links import Link
from ontomesh.sdk.models.markers import Dangling, Indexed, OneOf, Unique, Xsd
from ontomesh.sdk.models.ontology import ontology_of
from ontomesh.sdk.models.rendering import render

__all__ = [
    "Dangling",
    "DocumentModel",
    "Indexed",
    "Key",
    "Link",
    "OneOf",
    "Unique",
    "Xsd",
    "hashed",
    "lexical",
    "ontology_of",
    "random_key",
    "render",
    "value_hash",
]
