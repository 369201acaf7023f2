"""What a function takes, read from its signature, its types, its defaults and its docstring."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, get_type_hints

from docstring_parser import ParseError, parse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, PydanticJsonSchemaWarning

from ..errors import ConfigError
from ..sanitize import clipped

MAX_DESCRIPTION_CHARS = 4_000
"""It goes along with every request; some vendors take less still."""
_IGNORED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Described(Protocol):
    """What a tool takes, told to a model as `schema`, and how it is called with what a model sent."""

    @property
    def description(self) -> str: ...
    @property
    def schema(self) -> Mapping[str, Any]: ...
    @property
    def context(self) -> str | None: ...  # the parameter that takes what the run offers
    @property
    def wants_object(self) -> bool: ...
    def bound(self, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]: ...


class Signature:
    """The parameters of `function`. Those in `own` are passed by us and not offered to a model.

    Raises ConfigError for a function whose parameters cannot be told to a model.
    """

    def __init__(self, function: Callable[..., Any], name: str, own: type[Any]) -> None:
        self.function, self.name = function, name
        told = _docstring(function)
        self.description = told[0]
        hints = _hints(function, name)
        self.context: str | None = None  # the parameter that takes what the run offers
        fields: dict[str, Any] = {}
        self._names: list[str] = []
        self._positional: list[str] = []
        for parameter in _parameters(function, name):
            if parameter.kind in _IGNORED:
                stars = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else "**"
                raise ConfigError(
                    f"the tool {name!r} takes {stars}{parameter.name}; a model needs to know every parameter by name"
                    " (a decorator shows those of its function by functools.wraps)"
                )
            kind = hints.get(parameter.name, Any)
            if kind is own:
                self.context = parameter.name
                continue
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                self._positional.append(parameter.name)
            # Under an alias, so that a parameter may be called as pydantic's own methods are: schema, json, copy.
            fields[f"p{len(fields)}"] = (kind, _field(parameter, told[1].get(parameter.name)))
            self._names.append(parameter.name)
        try:
            self._model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
            self.schema = _schema(self._model)
        except PydanticUserError as exc:
            raise ConfigError(f"the tool {name!r} cannot be described to a model: {no_schema(exc)}") from exc

    def bound(self, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """How to call the function with what a model sent. Raises ValueError in one sentence."""
        try:
            checked = self._model.model_validate(dict(arguments))
        except ValidationError as exc:
            raise ValueError(self._sentence(exc)) from None
        # A default that can be changed is copied: what one call adds to it must not wait for the next.
        given = {
            name: value
            for place, name in enumerate(self._names)
            if f"p{place}" in checked.model_fields_set
            or name in self._positional
            or isinstance(self._model.model_fields[f"p{place}"].default, list | dict | set)
            for value in (getattr(checked, f"p{place}"),)
        }
        return [given.pop(name) for name in self._positional if name in given], given

    @property
    def wants_object(self) -> bool:
        """Whether it is a method that was taken from its class, so that nobody gives it its `self`."""
        inside = "." in getattr(_inner(self.function), "__qualname__", "").rpartition("<locals>.")[2]
        return inside and inspect.isfunction(self.function) and self._names[:1] in (["self"], ["cls"])

    def __str__(self) -> str:
        """As a person writes it: say_hello(name: str, times: int = 1)."""
        required: list[str] = self.schema.get("required", [])
        shown = (_shown(name, of, name in required) for name, of in self.schema["properties"].items())
        return f"{self.name}({', '.join(shown)})"

    def _sentence(self, error: ValidationError) -> str:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            said = f"{where} is missing"
        elif first["type"] == "extra_forbidden":
            said = f"there is no parameter {where}"
        else:
            found = repr(first["input"])
            said = f"{where}: {first['msg']}, found {found if len(found) <= 80 else found[:77] + '...'}"
        return f"{said}; it takes {self}"


def no_schema(exc: PydanticUserError) -> str:
    """Why there is no schema for a type, without what pydantic would have its own callers do."""
    return exc.message.partition("\n")[0].partition(" Set `arbitrary_types_allowed")[0]


class _NoTitles(GenerateJsonSchema):
    """Titles repeat the names: a third of the tokens, no meaning."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    with warnings.catch_warnings():  # a default that cannot be written is left out, as it should be
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)
        found = _without_titles(model.model_json_schema(schema_generator=_NoTitles))
    return {"type": "object", "properties": {}, **found}


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    for of in (schema, *schema.get("$defs", {}).values()):
        of.pop("title", None)
    return schema


def _docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """What it says of the function, and of each parameter: as Google, NumPy, Sphinx or Epydoc write it."""
    text = clipped(inspect.getdoc(_inner(function)) or "", MAX_DESCRIPTION_CHARS)
    try:
        parsed = parse(text)
    except ParseError:
        return text, {}
    said = [part for part in (parsed.short_description, parsed.long_description) if part]
    return "\n".join(said), {p.arg_name: p.description for p in parsed.params if p.description}


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError as exc:  # of some that are built in
        raise ConfigError(f"the tool {name!r} does not say what it takes; wrap it in a function") from exc


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, partial):
        function = function.func
    return function


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    function = _inner(function)
    targets: list[Any] = [function] if inspect.isroutine(function) else [type(function).__call__]
    if isinstance(function, type):  # its fields, where they make its signature, and what its __init__ says
        targets = [function, function.__init__]
    try:
        return {
            key: kind
            for target in targets
            for key, kind in get_type_hints(target, include_extras=True).items()
        }
    except NameError as exc:
        raise ConfigError(f"the tool {name!r}: {exc}; its types must be there where it is defined") from exc


def _field(parameter: inspect.Parameter, description: str | None) -> Any:
    default = ... if parameter.default is inspect.Parameter.empty else parameter.default
    if isinstance(default, FieldInfo):  # the function itself says `= Field(...)`
        default.alias = parameter.name
        default.description = default.description or description
        return default
    told: dict[str, Any] = (
        {} if description is None else {"description": description}
    )  # None would hide what Annotated says
    return Field(default, alias=parameter.name, **told)


def _shown(name: str, schema: Mapping[str, Any], required: bool) -> str:
    kind = schema.get("type") or ("one of " + ", ".join(map(str, schema["enum"])) if "enum" in schema else "")
    words = f"{name}: {kind}" if kind else name
    return words if required else f"{words} = {schema.get('default')!r}"
