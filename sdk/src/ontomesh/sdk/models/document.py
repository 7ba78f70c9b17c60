"""The base of models that are documents."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar, Unpack

from pydantic import BaseModel, ConfigDict, PrivateAttr

from ontomesh.sdk.models.keys import Key
from ontomesh.sdk.models.links import Link
from ontomesh.sdk.models.markers import Dangling, Indexed, OneOf, Unique
from ontomesh.sdk.models.shapes import Shape, shape_of
from ontomesh.sdk.resources import Document

Model = TypeVar("Model", bound="DocumentModel")


class DocumentModel(BaseModel):
    """A class of the ontology; its instances are documents.

    Fields are properties, under their alias if they have one. `id` is the document's `@id`, and no property: None
    until the kernel has generated it from the class's key. Class keywords: `key` says how, `abstract` that there are
    no documents of just this class, `subdocument` that its values lie within other documents, `tagged` that each value
    has exactly one of the fields (a TaggedUnion), `unfoldable` that it may be shown unfolded, `indexed` and `unique`
    name paths such as `address.city`, `events=False` that commits make no events of its documents (nor of those of its
    subclasses), `documentation` and `metadata` stand for the docstring's and the markers' own.
    All count for the class alone, not for those that inherit from it, except `subdocument`.

    Fields may be str, bool, int, float, Decimal, datetime, date, time, timedelta, bytes, an Enum of strings, a Literal
    of strings (an enum named after class and field), a `Link`, a model with `subdocument=True`, or any JSON (`Any`,
    `JsonValue`); one of these or None; a list or a set of one of these (`Field(min_length=1, max_length=3)` bounds a
    set); or lists of lists. A Decimal keeps its digits. `Annotated` adds `Indexed()`, `Unique()`, `Dangling()`,
    `OneOf()` and `Xsd(...)`.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: str | None = None

    class_key: ClassVar[Key | None] = None
    class_abstract: ClassVar[bool] = False
    class_subdocument: ClassVar[bool] = False
    class_tagged: ClassVar[bool] = False
    class_unfoldable: ClassVar[bool] = False
    class_indexed: ClassVar[tuple[str, ...]] = ()
    class_unique: ClassVar[tuple[str, ...]] = ()
    class_events: ClassVar[bool | None] = None
    class_documentation: ClassVar[Any] = None
    class_metadata: ClassVar[Mapping[str, Any] | None] = None
    # Properties of the document that the model has no field for; kept, so that writing it back loses nothing.
    _rest: dict[str, Any] = PrivateAttr(default_factory=dict)

    def __init_subclass__(
        cls,
        *,
        key: Key | None = None,
        abstract: bool = False,
        subdocument: bool = False,
        tagged: bool = False,
        unfoldable: bool = False,
        indexed: tuple[str, ...] = (),
        unique: tuple[str, ...] = (),
        events: bool | None = None,
        documentation: Any = None,
        metadata: Mapping[str, Any] | None = None,
        **config: Unpack[ConfigDict],
    ) -> None:
        super().__init_subclass__(**config)
        cls.class_key = key
        cls.class_abstract = abstract
        cls.class_subdocument = subdocument or cls.class_subdocument
        cls.class_tagged = tagged
        cls.class_unfoldable = unfoldable
        cls.class_indexed, cls.class_unique = tuple(indexed), tuple(unique)
        cls.class_events = events
        cls.class_documentation, cls.class_metadata = documentation, metadata

    def link(self) -> "Link[Self]":
        """A link to this document.

        Raises:
            ValueError: It has no id yet.
        """
        if self.id is None:
            raise ValueError(f"this {type(self).__name__} has no id yet")
        return Link(self.id)

    def to_document(self) -> dict[str, Any]:
        """The document as a dict of what JSON has, and Decimals; properties without a value are left out."""
        document: dict[str, Any] = {"@type": type(self).__name__}
        if self.id is not None:
            document["@id"] = self.id
        for name, (alias, shape) in properties_of(type(self)).items():
            value = getattr(self, name)
            if value is not None:
                document[alias] = shape.write(value)
        return document | self._rest

    @classmethod
    def from_document(cls, document: Document | Mapping[str, Any], /) -> Self:
        """The instance for a document, of the subclass that its `@type` names.

        An optional property that the document lacks is None, a set or list empty, whatever the field's default.

        Raises:
            TypeError: The document's class is not this one, nor a subclass of it known here.
            pydantic.ValidationError: The document does not fit the model.
        """
        data = document.data if isinstance(document, Document) else document
        model = _subclass(cls, str(data.get("@type")))
        if model is None:
            raise TypeError(f"{data.get('@id')} is of class {data.get('@type')}, which is no {cls.__name__} known here")
        values: dict[str, Any] = {"id": data.get("@id")}
        known = {"@id", "@type"}
        for name, (alias, shape) in properties_of(model).items():
            known.add(alias)
            if alias in data or shape.family != "One":
                values[name] = shape.read(data.get(alias))
        instance = model.model_validate(values)
        instance._rest = {name: value for name, value in data.items() if name not in known}
        return instance


def properties_of(model: type[DocumentModel]) -> dict[str, tuple[str, Shape]]:
    """The properties of a model by field: the name in the document, and the shape.

    Raises:
        TypeError: A field's type has no place in an ontology.
    """
    # Kept in the class's own namespace: a subclass has other fields.
    found: dict[str, tuple[str, Shape]] | None = model.__dict__.get("_ontomesh_properties")
    if found is None:
        if not model.__pydantic_complete__:
            model.model_rebuild()
        found = {
            name: (field.alias or name, shape_of(field.annotation, field.metadata, f"{model.__name__}.{name}"))
            for name, field in model.model_fields.items()
            if name != "id"
        }
        type.__setattr__(model, "_ontomesh_properties", found)
    return found


def markers_of(model: type[DocumentModel], name: str) -> tuple[Indexed | Unique | Dangling | OneOf, ...]:
    """What a field's annotation says of its property."""
    metadata = model.model_fields[name].metadata
    return tuple(each for each in metadata if isinstance(each, Indexed | Unique | Dangling | OneOf))


def _subclass(model: type[Model], name: str) -> type[Model] | None:
    if model.__name__ == name:
        return model
    # The latest first: a cell of a notebook that is run again defines its class anew.
    candidates = (_subclass(each, name) for each in reversed(model.__subclasses__()))
    return next((each for each in candidates if each is not None), None)
