"""A record as the result of a tool."""

from __future__ import annotations

import json
from typing import cast

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel

from .delegate.estimate import Estimate
from .ledger.receipt import Receipt, known


def reply(record: BaseModel, *, error: str | None = None) -> CallToolResult:
    """As structured content, and as text without what is unknown or empty.

    What models read most is as short in the structured part: some hosts show their model only that.
    With `error` the text is that sentence, with the calls that would do, and the result a tool error. Tools declare no output schema: seven of
    them would cost every host more than all their descriptions.
    """
    whole = record.model_dump(mode="json")
    short = cast("dict[str, object]", known(whole))
    text = json.dumps(short, ensure_ascii=False)
    if error is not None:
        advice = short.get("advice")
        text = f"{error}\nadvice: {json.dumps(advice, ensure_ascii=False)}" if advice else error
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=short if isinstance(record, Receipt | Estimate) else whole,
        is_error=error is not None,
    )
