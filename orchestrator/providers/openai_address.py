"""Where a server of OpenAI's wire is, from an address as vendors' pages show it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from .connection import hosted_at

AZURE = ("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com")
AZURE_VERSION = "2024-10-21"
"""Of the older API, whose addresses name a deployment; its newer one has no versions."""
_CALL = re.compile(r"/(chat/completions|responses|completions|models)/?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    url: str  # to which the SDK adds the name of a call
    query: dict[str, str]  # sent with every call
    azure: bool  # takes its key in a header of its own
    deployment: bool = False  # Azure's older API: Chat Completions alone


def place_of(base_url: str) -> Place:
    """The path is kept, the query goes along, and the name of a call at the end of a copied address is taken off."""
    parts = urlsplit(base_url)
    azure, query = hosted_at(base_url, *AZURE), dict(parse_qsl(parts.query))
    path = _CALL.sub("", parts.path).rstrip("/")
    if azure and path in ("", "/openai"):
        path = "/openai/v1"
    deployment = azure and "/deployments/" in path
    if deployment:
        query.setdefault("api-version", os.environ.get("OPENAI_API_VERSION") or AZURE_VERSION)
    url = parts._replace(path=path, query="", fragment="").geturl()
    return Place(url=url, query=query, azure=azure, deployment=deployment)
