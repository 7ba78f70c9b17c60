"""Changes of the ontology with their migrations over HTTP, and trying them."""

from typing import Any

from fastapi import APIRouter, Request, Response

from ontomesh_data_kernel.domain import steps
from ontomesh_data_kernel.domain.checking import DataViolation, OntologyCheck
from ontomesh_data_kernel.domain.comparing import Difference, DifferenceKind
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import OntologyEdit
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.http import answers, examples
from ontomesh_data_kernel.doors.http.parameters import PageSize, PageToken, Ref, json_answer, json_body
from ontomesh_data_kernel.doors.http.reading import Members, read_members
from ontomesh_data_kernel.errors import InvalidRequest

_CHANGE = {
    "migrations": [
        {"rename_property": {"type": "Person", "property": "nick", "to": "alias"}},
        {"set_default": {"type": "Person", "property": "alias", "value": "nobody"}},
        {"cast_property": {"type": "Person", "property": "alias", "family": "Required"}},
    ]
}
_EXAMPLE = OntologyCheck(
    (Difference(DifferenceKind.STRENGTHENED, "Person", "nick", "is xsd:string where it was Optional<xsd:string>"),),
    (DataViolation("Person/ada", "nick", "is required"),),
    "",
    1,
    0,
    1,
    ("Person",),
    examples.ONTOLOGY.commit,
    examples.ONTOLOGY,
)


def check_routes(kernel: Kernel) -> APIRouter:
    """Routes that try a change of the ontology."""
    routes = APIRouter(prefix="/v1/databases/{database}", tags=["ontology"])

    @routes.post(
        "/ontology:check",
        summary="What a change of the ontology would come to, and a page of the documents that would not fit",
        openapi_extra=json_body({"change": _CHANGE}),
        responses=json_answer(_answer(_EXAMPLE)),
    )
    async def check_ontology(
        database: str,
        request: Request,
        ref: Ref = "",
        changes_only: bool = False,
        page_size: PageSize = 0,
        page_token: PageToken = "",
    ) -> Response:
        body = await read_members(request)
        edit = read_edit(body.take("change"), "change") if body.has("change") else OntologyEdit(b"")
        body.end()
        found = await kernel.ontology_checks.check(
            caller_now(), database, ref, edit, changes_only, page_size, page_token
        )
        return answers.answer(_answer(found))

    return routes


def _answer(one: OntologyCheck) -> dict[str, Any]:
    return {
        "differences": [
            {
                "kind": each.kind.value,
                "element": each.element,
                "property": each.property,
                "description": each.description,
            }
            for each in one.differences
        ],
        "violations": [
            {"id": each.id, "field": each.field, "description": each.description} for each in one.violations
        ],
        "next_page_token": one.next_page_token,
        "examined": one.examined,
        "changed": one.changed,
        "violating": one.violating,
        "classes": one.classes,
        "commit": one.commit,
        "ontology": answers.ontology(one.ontology),
    }


def read_edit(value: object, place: str = "ontology") -> OntologyEdit:
    """A change of the ontology. Raises InvalidRequest."""
    members = Members(value, place)
    mode = members.text("mode") or "upsert"
    if mode not in ("upsert", "replace"):
        raise InvalidRequest.at(f"{place}.mode", f"{mode!r} is neither upsert nor replace")
    edit = OntologyEdit(
        members.json("schema") if members.has("schema") else b"",
        mode == "replace",
        members.texts("remove"),
        members.text("expected_digest"),
        tuple(_step(one, f"{place}.migrations[{index}]") for index, one in enumerate(members.items("migrations"))),
    )
    members.end()
    return edit


def _step(value: object, place: str) -> steps.Step:
    choices = Members(value, place)
    names = [name for name in steps.FIELDS.values() if choices.has(name)]
    if len(names) != 1:
        raise InvalidRequest.at(place, f"is one of {', '.join(steps.FIELDS.values())}")
    name = names[0]
    given = Members(choices.take(name), f"{place}.{name}")
    choices.end()
    step = _read_step(name, given, f"{place}.{name}")
    given.end()
    return step


def _read_step(name: str, given: Members, place: str) -> steps.Step:
    match name:
        case "rename_class":
            return steps.RenameClass(given.text("name"), given.text("to"))
        case "rename_property":
            return steps.RenameProperty(given.text("type"), given.text("property"), given.text("to"))
        case "set_default":
            return steps.SetDefault(given.text("type"), given.text("property"), given.json("value"))
        case "cast_property":
            on_error = given.text("on_error") or steps.OnError.REFUSE.value
            if on_error not in {one.value for one in steps.OnError}:
                raise InvalidRequest.at(f"{place}.on_error", f"{on_error!r} is none of refuse, default and remove")
            return steps.CastProperty(
                given.text("type"),
                given.text("property"),
                given.text("range"),
                given.text("family"),
                steps.OnError(on_error),
                given.json("default") if given.has("default") else b"",
            )
        case "move_property":
            return steps.MoveProperty(given.text("type"), given.text("path"), given.text("to"), given.text("to_type"))
        case "delete_property":
            return steps.DeleteProperty(given.text("type"), given.text("property"))
        case _:
            return steps.DeleteClass(given.text("name"), given.flag("unlink"))
