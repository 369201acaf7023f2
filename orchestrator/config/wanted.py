"""What a value should have been, in a person's words."""

from __future__ import annotations

from typing import Any

from pydantic_core import ErrorDetails

_WANTED = {
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_too_short": "at least one character",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "union_tag_invalid": "one of {expected_tags}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
}
"""By the kind of mistake, with the words of its context."""


def wanted(error: ErrorDetails) -> str:
    """What a value should have been: "wanted a list"."""
    context: dict[str, Any] = error.get("ctx", {})
    if error["type"] == "too_short" and context.get("min_length") == 1:
        return "wanted at least one entry"
    if known := _WANTED.get(error["type"]):
        return f"wanted {known.format_map(context)}"
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "wanted")
