"""Keyword arguments of calls as programs write them, `chat_kwargs` among them: ours are checked, others go to the vendor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigError
from .files import short
from .models import Seconds

_ELSEWHERE = {
    "model": "the argument `model`",
    "messages": "the prompt, or the argument `messages`",
    "system": "the argument `system_prompt`",
    "tools": "the argument `tools`",
    "stream": "the method `stream`",
    "api_key": "the environment",
    "api_base": "base_url of the provider in config.yaml",
    "base_url": "base_url of the provider in config.yaml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """What a call is made with: fields of each request, options only the vendor knows, and how often it is retried."""

    request: Mapping[str, Any] = field(default_factory=dict[str, Any])
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    retries: int | None = None  # None: as configured


class _Ours(BaseModel):
    model_config = ConfigDict(strict=True)

    max_tokens: int | None = Field(
        None, ge=1, validation_alias=AliasChoices("max_tokens", "max_completion_tokens")
    )
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    timeout_s: Seconds | None = Field(None, validation_alias=AliasChoices("timeout_s", "timeout"))
    think: bool | Literal["low", "medium", "high"] | None = Field(
        None, validation_alias=AliasChoices("think", "reasoning_effort")
    )
    tool_choice: str | None = None
    # `schema` is a name of pydantic's own
    form: dict[str, Any] | None = Field(None, validation_alias=AliasChoices("schema"))
    retries: int | None = Field(
        None, ge=0, le=20, validation_alias=AliasChoices("retries", "num_retries", "max_retries")
    )


_ALIASES = [
    [str(name) for name in one.validation_alias.choices]
    for one in _Ours.model_fields.values()
    if isinstance(one.validation_alias, AliasChoices)
]
_NAMES = {name for names in _ALIASES for name in names} | {"temperature", "tool_choice"}


def call_settings(kwargs: Mapping[str, Any], what: str) -> CallSettings:
    """`kwargs` sorted. Raises ConfigError that begins with `what`, the name the caller knows them by."""
    given: Any = kwargs
    if not isinstance(given, Mapping) or not all(
        isinstance(name, str) for name in cast("Mapping[Any, Any]", given)
    ):
        raise ConfigError(f"{what}: wanted names with their values, found {short(cast('object', given))}")
    for name in kwargs.keys() & _ELSEWHERE.keys():
        raise ConfigError(f"{what}: {name} does not belong here; it is given by {_ELSEWHERE[name]}")
    for aliases in _ALIASES:
        if len(twice := [name for name in aliases if kwargs.get(name) is not None]) > 1:
            raise ConfigError(f"{what}: {twice[0]} and {twice[1]} mean the same; give one of them")
    try:
        ours = _Ours.model_validate({key: value for key, value in kwargs.items() if key in _NAMES})
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        wanted = first["msg"].replace("Input should be", "wanted")
        raise ConfigError(f"{what}: {first['loc'][0]}: {wanted}, found {short(first['input'])}") from exc
    request = ours.model_dump(exclude_none=True, exclude={"retries", "form", "tool_choice"})
    if ours.form is not None:
        request["schema"] = ours.form
    if ours.tool_choice not in (None, "auto"):
        request["tool_choice"] = "any" if ours.tool_choice == "required" else ours.tool_choice
    options = {key: value for key, value in kwargs.items() if key not in _NAMES}
    return CallSettings(request=request, options=options, retries=ours.retries)
