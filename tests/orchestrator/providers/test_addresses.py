"""Where a model is and how it is reached: addresses as people write them, no detour over a proxy, whose key goes along."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from orchestrator.errors import ConfigError
from orchestrator.providers import close, complete, models_of, open_provider
from orchestrator.providers.openai_address import AZURE_VERSION, place_of
from servers.ollama.engines.address import address_of
from servers.ollama.engines.open import open_runtime
from servers.ollama.engines.protocol import EngineError
from tests.wire.stub import Stub
from tests.wire.wires import WIRES, asking, opened

pytestmark = pytest.mark.anyio


@contextmanager
def proxy() -> Generator[tuple[str, list[str]]]:
    """A proxy that forwards nothing and notes who came."""
    came: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    came.append(connection.recv(4096).decode("latin-1"))
                    connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", came
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_what_is_on_this_machine_is_never_asked_through_a_proxy(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, wire: str, variable: str
) -> None:
    with proxy() as (url, came):
        monkeypatch.setenv(variable, url)
        provider = opened(stub, wire)
        assert (await complete(provider, asking(wire, "text"))).message.text == "Hello from the stub."
        await close(provider)
    assert came == []


async def test_another_machine_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as (url, came):
        monkeypatch.setenv("HTTP_PROXY", url)
        provider = open_provider("lab", kind="openai", base_url="http://models.example/v1", api_key="k")
        with pytest.raises(Exception, match="502"):
            await complete(provider, asking("lab", "text"))
        await close(provider)
    assert came and "models.example" in came[0]


async def test_a_proxy_that_cannot_be_used_is_named_and_nothing_on_this_machine_needs_it(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    near = opened(stub, "chat")
    assert (await complete(near, asking("chat", "text"))).stop == "end"
    await close(near)
    far = open_provider("lab", kind="openai", base_url="http://models.example/v1", api_key="k")
    with pytest.raises(ConfigError, match="proxy"):
        await complete(far, asking("lab", "text"))


@pytest.mark.parametrize(
    ("written", "url", "who"),
    [
        (
            "http://ada:pa%40ss@127.0.0.1:9/x/",
            "http://127.0.0.1:9/x",
            "Basic " + base64.b64encode(b"ada:pa@ss").decode(),
        ),
        ("ada:p@box", "http://box:11434", "Basic " + base64.b64encode(b"ada:p").decode()),
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434", "Bearer key"),
        ("http://127.0.0.1:11434/api/", "http://127.0.0.1:11434", "Bearer key"),
        ("'127.0.0.1:1'", "http://127.0.0.1:1", "Bearer key"),
        ("", "http://127.0.0.1:11434", "Bearer key"),
    ],
)
def test_an_address_says_where_and_who_asks_and_shows_neither_password_nor_key(
    monkeypatch: pytest.MonkeyPatch, written: str, url: str, who: str
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "key")
    address = address_of(written)
    assert (address.url, address.headers) == (url, {"authorization": who})
    assert "pa" not in repr(address) and "Bearer" not in repr(address) and "@" not in repr(address)


@pytest.mark.parametrize(
    "written", ["ftp://ada:secret@x", "http://ada:secret@x:99999", "http://ada:secret@x?y"]
)
def test_a_password_is_in_no_error(written: str) -> None:
    with pytest.raises(ValueError, match="no address") as caught:
        address_of(written)
    assert "secret" not in str(caught.value)


async def test_key_and_password_reach_the_lead_and_the_local_commands_alike(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url, sent in (
        (stub.url("ollama"), "Bearer precious"),
        (stub.url("ollama").replace("//", "//ada:p@"), "Basic " + base64.b64encode(b"ada:p").decode()),
    ):
        monkeypatch.setenv("OLLAMA_API_KEY", "precious")
        monkeypatch.setenv("OLLAMA_HOST", url)
        lead = open_provider("ollama")
        await models_of(lead)
        await close(lead)
        runtime = open_runtime(None)
        with pytest.raises(EngineError):  # this server knows no /api/version
            await runtime.models()
        await runtime.aclose()
        asked = [entry["headers"].get("authorization") for entry in stub.log]
        assert set(asked) == {sent} and any("version" in entry["path"] for entry in stub.log)
        assert "ada" not in runtime.name and "precious" not in runtime.name
        stub.log.clear()


AT = "https://lab.openai.azure.com"


@pytest.mark.parametrize(
    ("written", "url", "query"),
    [
        (
            f"{AT}/openai/deployments/gpt?api-version=2024-06-01",
            f"{AT}/openai/deployments/gpt",
            {"api-version": "2024-06-01"},
        ),
        (f"{AT}/openai/deployments/gpt/", f"{AT}/openai/deployments/gpt", {"api-version": AZURE_VERSION}),
        (
            f"{AT}/openai/deployments/gpt/chat/completions?api-version=2025-01-01-preview",
            f"{AT}/openai/deployments/gpt",
            {"api-version": "2025-01-01-preview"},
        ),
        (AT, f"{AT}/openai/v1", {}),
        (f"{AT}/", f"{AT}/openai/v1", {}),
        (f"{AT}/openai/v1/", f"{AT}/openai/v1", {}),
        ("http://127.0.0.1:8000/v1/chat/completions", "http://127.0.0.1:8000/v1", {}),
        ("https://gateway.example/a/b?team=x", "https://gateway.example/a/b", {"team": "x"}),
    ],
)
def test_an_address_of_openais_wire_keeps_its_path_and_its_query(
    written: str, url: str, query: dict[str, str]
) -> None:
    place = place_of(written)
    assert (place.url, place.query, place.azure) == (url, query, "azure" in written)
    assert place.deployment == ("deployments" in written)


async def test_the_query_of_an_address_goes_with_every_call(stub: Stub) -> None:
    provider = open_provider(
        "lab", kind="openai", base_url=stub.url("openai/v1/chat/completions") + "?team=x"
    )
    assert (await complete(provider, asking("lab", "text"))).stop == "end"
    await close(provider)
    assert stub.log[-1]["query"] == "team=x"


def test_azure_asks_for_its_address_and_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        open_provider("azure")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", AT)
    with pytest.raises(ConfigError, match="AZURE_OPENAI_API_KEY"):
        open_provider("azure")


def test_a_local_command_is_not_sent_through_a_proxy(
    stub: Stub, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with proxy() as (url, came):
        done = subprocess.run(
            [sys.executable, "-c", "from orchestrator.cli import main; raise SystemExit(main())", "bench"]
            + ["ollama:stub-text", "--prompt", "Hi", "--json"],
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(tmp_path_factory.mktemp("home")),
                "OLLAMA_HOST": stub.url("ollama"),
                "HTTP_PROXY": url,
                "ALL_PROXY": url,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert came == [], done.stderr
