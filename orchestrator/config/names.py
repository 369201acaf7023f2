"""The words settings are made of: names, models, seconds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from .files import short


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", text):
        raise ValueError(f"wanted a name of letters, digits, - and _, at most 40, found {short(text)}")
    return text


def _title(text: str) -> str:
    if not text.strip() or len(text) > 80 or not text.isprintable():
        raise ValueError(f"wanted a name of at most 80 characters on one line, found {short(text)}")
    return text.strip()


def _all_or(value: Any) -> Any:
    return None if value == ["all"] else value


def _model(text: str) -> str:
    if not text.strip():
        raise ValueError("wanted a model as provider:model, for example ollama:qwen3:8b, found nothing")
    return text.strip()


def _label(text: str) -> str:
    if not re.fullmatch(r"[^=]+=.+", text):
        raise ValueError(f"wanted a label as key=value, for example team=red, found {short(text)}")
    return text


def _label_key(text: str) -> str:
    if not text or "=" in text:
        raise ValueError(f"wanted the name of a label, without '=', for example team, found {short(text)}")
    return text


def _label_value(text: str) -> str:
    if not text:
        raise ValueError("wanted a label with a value, for example team: red, found nothing")
    return text


Name = Annotated[str, AfterValidator(_name)]
Title = Annotated[str, AfterValidator(_title)]
Model = Annotated[str, AfterValidator(_model), Field(json_schema_extra={"format": "model"})]
Models = Annotated[tuple[Model, ...], Field(min_length=1, max_length=20, strict=False)]
Label = Annotated[str, AfterValidator(_label)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Names = Annotated[tuple[str, ...], Field(strict=False)]
Servers = Annotated[Names | None, BeforeValidator(_all_or)]
"""Names of servers; None, or ["all"]: all of them."""
Seconds = Annotated[float, Field(gt=0, le=864_000, allow_inf_nan=False)]
