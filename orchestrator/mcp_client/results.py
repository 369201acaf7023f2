"""What a tool of a server answered, as parts for a model: whatever can be read of it is, the rest is named."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from ..sanitize import one_line
from ..types import Image, JsonObject, Text
from .json_schema import mismatch

MAX_IMAGE_CHARS = 5_000_000  # of base64; the smallest limit of a vendor
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_TRUE = (True, "true", "True", 1)


def read_result(sent: Any, promised: JsonObject | None = None) -> tuple[tuple[Text | Image, ...], bool]:
    """(content, whether the tool failed). `promised`: the schema of the structured result, where the tool has one."""
    if not isinstance(sent, Mapping):
        sent = {"content": sent}
    failed = sent.get("isError") in _TRUE
    structured = sent.get("structuredContent")
    parts = _blocks(sent.get("content"))
    if all(isinstance(part, Text) and not part.text.strip() for part in parts):
        parts = [Text(text=rest)] if (rest := _without_content(sent, structured)) else []
    if not failed and promised is not None and (note := _broken_promise(structured, promised)):
        parts.append(Text(text=f"[note: {note}]"))
    return tuple(parts) or (Text(text="(no output)"),), failed


def _without_content(sent: Mapping[str, Any], structured: Any) -> str:
    """What stands elsewhere: in the structured part, else under keys of the server's own."""
    if structured is not None:
        return _json(structured)
    own = {
        key: value for key, value in sent.items() if key not in ("content", "isError", "_meta", "resultType")
    }
    return _json(own.get("toolResult", own)) if own else ""


def _broken_promise(structured: Any, promised: JsonObject) -> str | None:
    if structured is None:
        return "this tool promises a structured result and sent none"
    wrong = mismatch(structured, promised)
    return (
        f"the structured part of this result does not follow the tool's own schema: {wrong}"
        if wrong
        else None
    )


def _blocks(content: Any) -> list[Text | Image]:
    listed = content if isinstance(content, list) else [content]
    return [part for block in listed if block is not None for part in _block(block)]


def _block(block: Any) -> list[Text | Image]:
    if not isinstance(block, Mapping):
        return [Text(text=block if isinstance(block, str) else _json(block))]
    held = block.get("resource")
    match block.get("type"):
        case "text" | None if "text" in block:
            text = block.get("text")
            return [Text(text=text if isinstance(text, str) else "" if text is None else _json(text))]
        case "image":
            return [_image(block.get("data"), block.get("mimeType"))]
        case "resource" if isinstance(held, Mapping):
            return _resource(held)
        case "resource_link" | "resource":
            return [Text(text=f"[resource {_word(block.get('uri'))}{_titled(block)}]")]
        case "audio":
            size = len(block["data"]) if isinstance(block.get("data"), str) else 0
            return [Text(text=f"[audio, {_word(block.get('mimeType'))}, {size:,} base64 characters]")]
        case "text":
            return []
        case kind:
            named = Text(text=f"[a block of type {one_line(repr(kind), 40)}, which cannot be shown]")
            words = block.get("text")
            return [Text(text=words), named] if isinstance(words, str) and words else [named]


def _resource(held: Mapping[str, Any]) -> list[Text | Image]:
    text, blob, kind = held.get("text"), held.get("blob"), held.get("mimeType")
    if isinstance(text, str):
        return [Text(text=text)]
    if isinstance(blob, str) and isinstance(kind, str) and kind.startswith("image/"):
        return [_image(blob, kind)]
    return [Text(text=f"[binary resource {_word(held.get('uri'))}]")]


def _image(data: Any, kind: Any) -> Text | Image:
    """A picture of the kind it really is: vendors refuse a whole conversation for one that is not what it says."""
    if not isinstance(data, str) or not data:
        return Text(text="[an image without data]")
    if data.startswith("data:"):
        data = data.partition(",")[2]
    if len(data) > MAX_IMAGE_CHARS:
        return Text(text=f"[an image of {len(data):,} base64 characters, which is more than models take]")
    data = "".join(data.split())
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return Text(text="[an image whose data is not base64]")
    found = next((mime for start, mime in _SIGNATURES.items() if raw.startswith(start)), None)
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        found = "image/webp"
    if found is None:
        return Text(text=f"[an image of the kind {_word(kind)}, which models do not take]")
    return Image(data=data, mime=found)


def _titled(block: Mapping[str, Any]) -> str:
    words = [block[key] for key in ("title", "name", "description") if isinstance(block.get(key), str)]
    return f": {one_line(words[0], 120)}" if words else ""


def _word(value: Any) -> str:
    return one_line(value, 200) if isinstance(value, str) else "of unknown kind"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
