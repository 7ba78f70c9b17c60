"""`ontomesh schema models`: the ontology as Python source."""

from ontomesh.cli.context import Session
from ontomesh.cli.options import Scope, command
from ontomesh.cli.schema import app


@command(app, "models", scope=Scope.READ, examples=("schema models > models.py", "schema models --ref main~3"))
def models(session: Session) -> None:
    """Print the ontology at a ref as pydantic models, which `apply_ontology` takes again.

    What models cannot say stands in a comment that begins with "Not in these models".
    """
    from ontomesh.sdk.models import render

    source = render(session.database.ontology(session.ref()).schema)
    if session.out.as_json:
        session.out.json({"source": source})
    else:
        session.out.text(source.rstrip("\n"))
