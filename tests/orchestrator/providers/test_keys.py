"""Whose key goes where, and what is said when there is none."""

from __future__ import annotations

import pytest

from orchestrator.errors import AuthFailed, ConfigError
from orchestrator.providers import close, complete, open_provider
from orchestrator.providers.openai import OpenAI
from orchestrator.types import Request, user
from tests.wire.stub import Stub
from tests.wire.wires import asking

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("vendor", "variable"),
    [
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("openai", "OPENAI_API_KEY"),
        ("google", "GEMINI_API_KEY"),
        ("bedrock", "AWS_REGION"),
    ],
)
async def test_without_a_key_the_variable_is_named(vendor: str, variable: str) -> None:
    with pytest.raises(AuthFailed, match=variable):
        await complete(open_provider(vendor), Request(model=f"{vendor}:any", messages=(user("Hi"),)))


@pytest.mark.parametrize(
    ("vendor", "variable", "path", "header"),
    [
        ("anthropic", "ANTHROPIC_API_KEY", "anthropic", "x-api-key"),
        ("openai", "OPENAI_API_KEY", "openai/v1", "authorization"),
        ("google", "GEMINI_API_KEY", "google", "x-goog-api-key"),
    ],
)
async def test_a_vendors_key_goes_to_the_vendor_alone(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, vendor: str, variable: str, path: str, header: str
) -> None:
    monkeypatch.setenv(variable, "precious")
    own = open_provider(vendor, base_url=stub.url(path))
    await complete(own, asking(vendor, "text"))
    assert "precious" in stub.log[-1]["headers"][header]
    other = open_provider("lab", kind=vendor, base_url=stub.url(path))
    await complete(other, asking("lab", "text"))
    assert "precious" not in str(stub.log[-1]["headers"])
    monkeypatch.setenv("LAB_KEY", "given")
    given = open_provider("lab", kind=vendor, base_url=stub.url(path), api_key_env="LAB_KEY")
    await complete(given, asking("lab", "text"))
    assert "given" in stub.log[-1]["headers"][header]
    for provider in (own, other, given):
        assert "precious" not in repr(provider) and "given" not in repr(provider)
        await close(provider)


@pytest.mark.parametrize(
    ("vendor", "variable", "path"),
    [
        ("openai", "OPENAI_BASE_URL", "openai/v1"),
        ("openai", "OPENAI_API_BASE", "openai/v1"),
        ("anthropic", "ANTHROPIC_BASE_URL", "anthropic"),
        ("google", "GOOGLE_GEMINI_BASE_URL", "google"),
        ("bedrock", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "bedrock"),
        ("ollama", "OLLAMA_BASE_URL", "ollama"),
    ],
)
async def test_addresses_come_from_the_environment(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, vendor: str, variable: str, path: str
) -> None:
    monkeypatch.setenv(variable, stub.url(path))
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    for key in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(key, "k")
    done = await complete(open_provider(vendor), asking(vendor, "text"))
    assert done.message.text == "Hello from the stub."


@pytest.mark.parametrize(
    ("api", "path"), [(None, "chat/completions"), ("responses", "responses"), ("chat", "chat/completions")]
)
async def test_a_compatible_server_is_asked_through_chat_unless_told_otherwise(
    stub: Stub, api: str | None, path: str
) -> None:
    settings = {"api": api} if api else {}
    await complete(
        open_provider("openai", base_url=stub.url("openai/v1"), **settings), asking("openai", "text")
    )
    assert stub.log[-1]["path"] == f"/openai/v1/{path}"


@pytest.mark.parametrize(
    ("url", "api"),
    [
        (None, "responses"),
        ("https://eu.api.openai.com/v1", "responses"),
        ("https://x.openai.azure.com/openai/v1", "responses"),
        ("https://api.openai.com.example.org/v1", "chat"),
    ],
)
def test_openai_itself_is_asked_through_responses(url: str | None, api: str) -> None:
    assert OpenAI(base_url=url, api_key="k").api == api


def test_an_unknown_api_is_named() -> None:
    with pytest.raises(ConfigError, match="api is 'responses' or 'chat', found 'soap'"):
        open_provider("openai", api="soap")
