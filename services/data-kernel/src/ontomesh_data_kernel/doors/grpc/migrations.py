"""Changes of the ontology with their migrations, and what trying them has found."""

from ontomesh.kernel.v1 import ontology_pb2, ontology_service_pb2
from ontomesh_data_kernel.domain import model, steps
from ontomesh_data_kernel.domain.checking import OntologyCheck
from ontomesh_data_kernel.domain.comparing import DifferenceKind
from ontomesh_data_kernel.errors import InvalidRequest

_ON_ERROR = {
    ontology_pb2.CastProperty.ON_ERROR_UNSPECIFIED: steps.OnError.REFUSE,
    ontology_pb2.CastProperty.ON_ERROR_REFUSE: steps.OnError.REFUSE,
    ontology_pb2.CastProperty.ON_ERROR_DEFAULT: steps.OnError.DEFAULT,
    ontology_pb2.CastProperty.ON_ERROR_REMOVE: steps.OnError.REMOVE,
}
_KINDS = {
    DifferenceKind.ADDED: ontology_service_pb2.OntologyDifference.KIND_ADDED,
    DifferenceKind.REMOVED: ontology_service_pb2.OntologyDifference.KIND_REMOVED,
    DifferenceKind.WEAKENED: ontology_service_pb2.OntologyDifference.KIND_WEAKENED,
    DifferenceKind.STRENGTHENED: ontology_service_pb2.OntologyDifference.KIND_STRENGTHENED,
    DifferenceKind.NOTED: ontology_service_pb2.OntologyDifference.KIND_NOTED,
    DifferenceKind.MIGRATED: ontology_service_pb2.OntologyDifference.KIND_MIGRATED,
}


def ontology_edit(edit: ontology_pb2.OntologyChange, field: str = "ontology") -> model.OntologyEdit:
    """A change of the ontology. Raises InvalidRequest for a mode or a step that says nothing."""
    modes = ontology_pb2.OntologyChange
    if edit.mode not in (modes.MODE_UNSPECIFIED, modes.MODE_UPSERT, modes.MODE_REPLACE):
        raise InvalidRequest.at(f"{field}.mode", f"{edit.mode} is no mode")
    return model.OntologyEdit(
        edit.schema,
        edit.mode == modes.MODE_REPLACE,
        tuple(edit.remove),
        edit.expected_digest,
        tuple(_step(one, f"{field}.migrations[{index}]") for index, one in enumerate(edit.migrations)),
    )


def _step(one: ontology_pb2.Migration, field: str) -> steps.Step:
    match one.WhichOneof("step"):
        case "rename_class":
            return steps.RenameClass(one.rename_class.name, one.rename_class.to)
        case "rename_property":
            rename = one.rename_property
            return steps.RenameProperty(rename.type, rename.property, rename.to)
        case "set_default":
            return steps.SetDefault(one.set_default.type, one.set_default.property, one.set_default.value)
        case "cast_property":
            return _cast(one.cast_property, f"{field}.cast_property")
        case "move_property":
            move = one.move_property
            return steps.MoveProperty(move.type, move.path, move.to, move.to_type)
        case "delete_property":
            return steps.DeleteProperty(one.delete_property.type, one.delete_property.property)
        case "delete_class":
            return steps.DeleteClass(one.delete_class.name, one.delete_class.unlink)
        case _:
            raise InvalidRequest.at(field, f"is one of {', '.join(steps.FIELDS.values())}")


def _cast(cast: ontology_pb2.CastProperty, field: str) -> steps.CastProperty:
    on_error = _ON_ERROR.get(cast.on_error)
    if on_error is None:
        raise InvalidRequest.at(f"{field}.on_error", f"{cast.on_error} is none of refuse, default and remove")
    return steps.CastProperty(cast.type, cast.property, cast.range, cast.family, on_error, cast.default)


def check_response(one: OntologyCheck) -> ontology_service_pb2.CheckOntologyResponse:
    """What trying a change has found."""
    return ontology_service_pb2.CheckOntologyResponse(
        differences=[
            ontology_service_pb2.OntologyDifference(
                kind=_KINDS[each.kind], element=each.element, property=each.property, description=each.description
            )
            for each in one.differences
        ],
        violations=[
            ontology_service_pb2.OntologyViolation(id=each.id, field=each.field, description=each.description)
            for each in one.violations
        ],
        next_page_token=one.next_page_token,
        examined=one.examined,
        changed=one.changed,
        violating=one.violating,
        classes=one.classes,
        commit=one.commit,
        ontology=ontology_pb2.Ontology(schema=one.ontology.schema, digest=one.ontology.digest),
    )
