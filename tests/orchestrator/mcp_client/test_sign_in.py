"""Signing in to a server at an address, against the SDK's own authorization server on loopback."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl

from orchestrator.cli import parser_of
from orchestrator.commands import login
from orchestrator.config.load import ServerSettings
from orchestrator.errors import OrchestratorError
from orchestrator.gateway.serving import listener
from servers.state.home import home
from tests.orchestrator.mcp_client.test_protocol import host

pytestmark = pytest.mark.anyio


class Authority(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Signs everybody in who comes with a browser; its tokens can be let expire."""

    def __init__(self) -> None:
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.tokens: dict[str, AccessToken] = {}
        self.renewals: dict[str, RefreshToken] = {}
        self.renewed, self.refuses, self.lasts_s = 0, False, 3600

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[str(client_info.client_id)] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        if self.refuses:
            return construct_redirect_uri(
                str(params.redirect_uri),
                error="access_denied",
                error_description="not today",
                state=params.state,
            )
        code = AuthorizationCode(
            code=secrets.token_urlsafe(20),
            scopes=params.scopes or [],
            expires_at=time.time() + 300,
            client_id=str(client.client_id),
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        self.codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._issued(str(client.client_id))

    async def load_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: str
    ) -> RefreshToken | None:
        return self.renewals.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        self.renewed += 1
        return self._issued(str(client.client_id))

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.tokens.get(token)

    async def revoke_token(self, token: Any) -> None: ...

    def _issued(self, client: str) -> OAuthToken:
        access, renewal = secrets.token_urlsafe(20), secrets.token_urlsafe(20)
        self.tokens[access] = AccessToken(token=access, client_id=client, scopes=[])
        self.renewals[renewal] = RefreshToken(token=renewal, client_id=client, scopes=[])
        return OAuthToken(access_token=access, refresh_token=renewal, expires_in=self.lasts_s)


@asynccontextmanager
async def guarded() -> AsyncGenerator[tuple[str, Authority]]:
    bound = listener("127.0.0.1", 0, None)
    root, authority = f"http://127.0.0.1:{bound.getsockname()[1]}", Authority()
    server = MCPServer(
        "guarded",
        auth_server_provider=authority,
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(root),
            resource_server_url=AnyHttpUrl(f"{root}/mcp"),
            validate_token_resource=False,
            client_registration_options=ClientRegistrationOptions(enabled=True),
        ),
    )

    @server.tool()
    def secret() -> str:
        return "forty-two"

    running = uvicorn.Server(
        uvicorn.Config(server.streamable_http_app(), log_config=None, timeout_graceful_shutdown=1)
    )
    async with anyio.create_task_group() as group:
        group.start_soon(running.serve, [bound])
        yield f"{root}/mcp", authority
        running.should_exit = True


async def browsed(address: str) -> None:
    async with httpx2.AsyncClient(follow_redirects=True, trust_env=False) as browser:
        await browser.get(address)


@pytest.fixture
def sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """The command, with a browser that goes where it is sent."""

    async def command(url: str, *more: str) -> tuple[int, str]:
        file = tmp_path / "mine.yaml"
        file.write_text(json.dumps({"servers": {"far": {"url": url}}}))
        async with anyio.create_task_group() as group:
            monkeypatch.setattr(
                "webbrowser.open",
                lambda address: anyio.from_thread.run_sync(group.start_soon, browsed, address),
            )
            options = parser_of("login").parse_args(["login", "far", "--config", str(file), *more])
            try:
                code = await login.signed_in(options)
            except OrchestratorError as exc:
                return 1, str(exc)
        return code, capsys.readouterr().out

    return command


async def called(url: str, folder: Path) -> tuple[str, bool]:
    async with host(ServerSettings(url=url), folder) as (session, _):
        said = await session.call_tool("far", "secret", {})
        return said.text, said.is_error


async def test_who_is_not_signed_in_is_told_how_and_once_signed_in_stays_so(
    tmp_path: Path, sign_in: Callable[..., Any]
) -> None:
    async with guarded() as (url, authority):
        text, failed = await called(url, tmp_path)
        assert failed and "understudy login far" in text and "\n" not in text
        assert await sign_in(url) == (0, "far offers 1 tools\n")
        assert await called(url, tmp_path) == ("forty-two", False)
        (kept,) = (home() / "oauth").iterdir()
        assert kept.stat().st_mode & 0o777 == 0o600
        assert len(authority.clients) == 1
        assert await sign_in(url, "--forget") == (0, "signed out of far\n")
        assert (await called(url, tmp_path))[1]


async def test_what_has_expired_is_renewed_without_the_person(
    tmp_path: Path, sign_in: Callable[..., Any]
) -> None:
    async with guarded() as (url, authority):
        authority.lasts_s = -10
        assert (await sign_in(url))[0] == 0
        authority.tokens.clear()
        authority.lasts_s = 3600
        assert await called(url, tmp_path) == ("forty-two", False)
        assert authority.renewed >= 1


async def test_a_sign_in_that_is_refused_is_one_sentence(sign_in: Callable[..., Any]) -> None:
    async with guarded() as (url, authority):
        authority.refuses = True
        assert await sign_in(url) == (1, "far: not signed in: not today")
