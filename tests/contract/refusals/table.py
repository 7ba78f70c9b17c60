"""The table of bad input: what each call is refused with."""

from tests.contract.refusals.bodies import bodies
from tests.contract.refusals.documents import documents
from tests.contract.refusals.graphql import graphql
from tests.contract.refusals.identity import identity
from tests.contract.refusals.imports import imports
from tests.contract.refusals.merges import merges
from tests.contract.refusals.migrations import migrations
from tests.contract.refusals.names import names
from tests.contract.refusals.pages import pages
from tests.contract.refusals.queries import queries
from tests.contract.refusals.refs import refs
from tests.contract.refusals.routes import routes
from tests.contract.refusals.row import Row
from tests.contract.refusals.schemas import schemas
from tests.contract.refusals.validators import validators
from tests.contract.refusals.writes import writes


def rows() -> list[Row]:
    """The whole table."""
    parts = (
        names,
        refs,
        bodies,
        documents,
        routes,
        writes,
        schemas,
        migrations,
        merges,
        pages,
        queries,
        imports,
        identity,
        graphql,
        validators,
    )
    return [row for part in parts for row in part()]
