"""What every section of a scenario is: immutable, its keys read each by its own reader.

An attribute that is a quantity ends in its unit; its key is the name without it
(``checkpoint_delay`` is `checkpoint_delay_ns`), unless an alias says otherwise. The text below an
attribute is its description in the JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType, NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator

from colosim.scenario.checks import Check
from colosim.scenario.fields import Choice, Measure, Reader
from colosim.scenario.own_presets import file_of, own_names, read_preset_file
from colosim.scenario.presets import Family, OwnPreset, preset, preset_names

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


_UNIT: Final = re.compile(
    "_(ns|bytes|pages|ppm|(bytes|pages)_per_s|per_gigaday|ns_per_gib|ps_per_(page|chunk)|fs_per_byte)$"
)


class Section(BaseModel):
    """Base of every section of a scenario: immutable, and no key beyond those it names."""

    # Most of them are read from a file, without pydantic's own validator, which is slow to build.
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, defer_build=True
    )
    checks: ClassVar[tuple[Check, ...]] = ()
    """What cannot stand together in it."""
    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of keys of which only one may be given."""
    example: ClassVar[str] = ""
    """How it may be written, for messages."""
    called: ClassVar[str] = "the scenario"
    """What a whole document of it is called, for messages."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Give each field the key of its name, and find the checks."""
        for name, field in cls.model_fields.items():
            key = field.alias or _UNIT.sub("", name)
            field.alias = field.validation_alias = field.serialization_alias = key
        methods = [value for value in vars(cls).values() if isinstance(value, FunctionType)]
        cls.checks = (*cls.checks, *(method for method in methods if "needs" in vars(method)))

    @classmethod
    @cache
    def keys(cls) -> dict[str, str]:
        """Return the attribute of each key."""
        return {str(field.alias): name for name, field in cls.model_fields.items()}

    @classmethod
    @cache
    def readers(cls) -> dict[str, Any]:
        """Return what reads each attribute, as `shape` has it."""
        return {name: shape(field) for name, field in cls.model_fields.items()}

    @classmethod
    def completed(cls, _given: dict[str, Any], _folder: Path | None) -> dict[str, Any]:
        """Return attributes that follow from what is given, which stands in ``folder``.

        :raises PydanticCustomError: `reject`, if they cannot.
        """
        return {}

    @classmethod
    def advice(cls, _key: str) -> str:
        """Return what to do with a key that stands here by a common mistake, or nothing."""
        return ""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: object) -> object:
        return {**data, **cls.completed(data, None)} if isinstance(data, dict) else data


class PresetName(Reader):
    """Reads the name of a preset; that of an own one comes with what its file held."""

    def __init__(self, family: Family, what: str) -> None:
        self._family = family
        self._what = what

    def read(self, value: object) -> str:
        """Return the name."""
        if isinstance(value, OwnPreset):
            return value
        known = (*preset_names(self._family), *own_names(self._family))
        return Choice(known, self._what).read(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the shipped names, and any text for an own one."""
        return {"anyOf": [{"enum": list(preset_names(self._family))}, {"type": "string"}]}


class FromPreset(Section):
    """A section of which a preset gives every value that is not stated."""

    family: ClassVar[Family]
    preset: str

    @classmethod
    def of(cls, name: str) -> Self:
        """Return the section as a preset has it, nothing of it stated."""
        make = _make_of_preset if isinstance(name, OwnPreset) else _of_preset
        made: Self = make(cls, name)
        return made

    @classmethod
    def values_of(cls, name: str) -> dict[str, Any]:
        """Return the values that a preset gives, by attribute."""
        keys, readers = cls.filled().keys(), cls.filled().readers()
        texts = preset(cls.family, name).texts()
        return {keys[key]: readers[keys[key]].read(text) for key, text in texts.items()}

    @classmethod
    def filled(cls) -> type[Section]:
        """Return the section whose keys a preset has values for."""
        return cls

    @classmethod
    def own_preset(cls, given: dict[str, Any], folder: Path) -> OwnPreset | None:
        """Return the preset of one's own that a mapping of keys names, None if it names none.

        Its file is not read if every value is stated beside it, as in a manifest.

        :raises ScenarioError: with every fault of the file.
        """
        name, filled = given.get("preset"), cls.filled()
        if isinstance(name, OwnPreset):
            return name
        if not isinstance(name, str) or name in preset_names(cls.family):
            return None
        if name and states_all(cls, given):
            return OwnPreset(name, None)
        file = file_of(cls.family, name, folder)
        if file is None:
            return None
        return OwnPreset(name, read_preset_file(file, _required(filled)))

    @classmethod
    def base(cls, given: object, otherwise: str = "") -> Self:
        """Return the section of the preset that is given, if there is one of that name."""
        default: str = cls.model_fields["preset"].default
        known = preset_names(cls.family)
        if isinstance(given, OwnPreset):
            is_there = given.found is not None
        else:
            is_there = isinstance(given, str) and given in known
        return cls.of(given if is_there and isinstance(given, str) else otherwise or default)

    @model_validator(mode="wrap")
    @classmethod
    def _fill(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Fill in what a mapping of Python leaves out, and keep in mind what it gave."""
        if not isinstance(data, dict):
            return handler(data)
        given = _by_name(cls, data)
        if (named := cls.own_preset(data, Path())) is not None:
            given["preset"] = named
        base = cls.base(given.get("preset"))
        inner = {
            name: (_by_name(type(start), value), start)
            for name, value in given.items()
            if isinstance(start := getattr(base, name, None), Section) and isinstance(value, dict)
        }
        filled = {
            name: {
                **({"preset": base.preset} if isinstance(start, FromPreset) else vars(start)),
                **own,
            }
            for name, (own, start) in inner.items()
        }
        made = handler({**vars(base), **given, **filled})
        for name, (own, _) in inner.items():
            getattr(made, name).model_fields_set.intersection_update(own)
        made.model_fields_set.intersection_update(given)
        return made


def _make_of_preset(model: type[Any], name: str) -> Any:
    return model.model_construct(set(), **model.values_of(name), preset=name)


_of_preset = cache(_make_of_preset)


def _required(model: type[Section]) -> dict[str, Any]:
    """Return what reads each key without a default."""
    return {
        key: model.readers()[name]
        for key, name in model.keys().items()
        if model.model_fields[name].is_required()
    }


def states_all(model: type[Section], given: object) -> bool:
    """Tell whether a mapping of keys states every value that has no default."""
    return isinstance(given, dict) and all(
        key in given and (not isinstance(reads, type) or states_all(reads, given[key]))
        for key, reads in _required(model).items()
    )


def _by_name(model: type[Section], data: dict[str, Any]) -> dict[str, Any]:
    return {model.keys().get(key, key): value for key, value in data.items()}


# --- what reads a field ---------------------------------------------------------------------------


class Example(str):
    """How a list or mapping may be written, for messages; stands beside its annotation."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Each:
    """A list (``least`` to ``most`` entries), or a mapping of names, of values read by ``item``."""

    item: Any
    named: bool
    example: str
    least: int = 0
    most: int | None = None


class Forms:
    """One of several forms; ``choose`` tells from plain data which, or rejects it.

    With ``excludes`` the keys of one form exclude those of another.
    """

    def __init__(
        self,
        choose: Callable[[object], Any],
        *members: type[Section] | Reader,
        excludes: bool = True,
    ) -> None:
        self.choose = choose
        self.members = members
        self._excludes = excludes

    @property
    def exclusive(self) -> tuple[tuple[str, ...], ...]:
        """Groups of keys of which only one may be given."""
        return tuple(tuple(form.keys()) for form in sections_in(self)) if self._excludes else ()

    @property
    def examples(self) -> str:
        """An example of each."""
        parts = (part.kind if isinstance(part, Measure) else part for part in self.members)
        return ", ".join(filter(None, (getattr(part, "example", "") for part in parts)))


def shape(field: FieldInfo) -> Any:
    """Return what reads a field: a `Reader`, a section's class, `Forms`, or `Each` of these."""
    return _shape(field.annotation, tuple(field.metadata))


def _shape(annotation: Any, metadata: Sequence[Any]) -> Any:
    reader = next((part for part in metadata if isinstance(part, (Reader, Forms))), None)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if reader is not None:
        return reader
    if origin is Annotated:
        return _shape(arguments[0], (*arguments[1:], *metadata))
    if origin in {Union, UnionType}:
        return _shape(next(part for part in arguments if part is not NoneType), metadata)
    if origin in {tuple, dict}:
        example = next((part for part in metadata if isinstance(part, Example)), "")
        limits = {
            name: getattr(part, limit)
            for part in metadata
            for name, limit in (("least", "min_length"), ("most", "max_length"))
            if hasattr(part, limit)
        }
        item = _shape(arguments[0 if origin is tuple else 1], ())
        return Each(item, origin is dict, example, **limits)
    return annotation


def sections_in(reads: Any) -> tuple[type[Section], ...]:
    """Return the sections among what reads a field."""
    if isinstance(reads, Each):
        return sections_in(reads.item)
    members = reads.members if isinstance(reads, Forms) else (reads,)
    return tuple(member for member in members if isinstance(member, type))


def measure_of(field: FieldInfo) -> Measure | None:
    """Return how a field's quantity is read, also where it is one of several forms."""
    return measure_in(shape(field))


def measure_in(reads: Any) -> Measure | None:
    """Return the reader of a quantity among what reads a field."""
    members = reads.members if isinstance(reads, Forms) else (reads,)
    return next((member for member in members if isinstance(member, Measure)), None)


@cache
def all_keys(model: type[Section]) -> dict[tuple[str, ...], Any]:
    """Return what reads each key, by its path without list positions, the shallow first."""
    found: dict[tuple[str, ...], Any] = {}
    for path, reads in _walk(model, ()):
        found.setdefault(path, reads)
    return found


def _walk(model: type[Section], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    shapes = {key: model.readers()[name] for key, name in model.keys().items()}
    for key, reads in shapes.items():
        yield (*path, key), reads
    for key, reads in shapes.items():
        for inner in sections_in(reads):
            yield from _walk(inner, (*path, key))
