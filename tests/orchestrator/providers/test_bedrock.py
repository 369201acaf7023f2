"""Bedrock without boto3's transport: signed as boto3 signs, to where boto3 sends."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config

from orchestrator.errors import AuthFailed
from orchestrator.providers import complete
from orchestrator.providers.bedrock import Bedrock
from orchestrator.types import Request, user
from tests.wire.stub import Stub
from tests.wire.wires import asking, opened

pytestmark = pytest.mark.anyio

MODELS = (
    "us.amazon.nova-pro-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5-5-v1:0",
)


@pytest.mark.parametrize("model", MODELS)
async def test_requests_are_signed_and_go_where_boto3_sends_them(stub: Stub, model: str) -> None:
    """The stub checks every signature against the documented algorithm; boto3's own pass too."""
    config = Config(retries={"total_max_attempts": 1})
    url = stub.url("bedrock")
    boto: Any = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=url, config=config)
    boto.converse_stream(modelId=model, messages=[{"role": "user", "content": [{"text": "Hi"}]}])[
        "stream"
    ].close()
    boto.close()
    provider = Bedrock(base_url=url, region="us-east-1")
    request = Request(model=f"bedrock:{model}", messages=(user("Hi"),))
    assert (await complete(provider, request)).message.text
    theirs, ours = stub.log
    assert theirs["raw_path"] == ours["raw_path"] and "%3A" in ours["raw_path"]


async def test_a_wrong_secret_is_refused(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(AuthFailed):
        await complete(opened(stub, "bedrock"), asking("bedrock", "text"))


async def test_no_credentials_says_how_to_get_some(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AuthFailed, match="Unable to locate credentials; `aws configure`"):
        await complete(opened(stub, "bedrock"), asking("bedrock", "text"))


async def test_no_region_says_where_to_set_it(stub: Stub) -> None:
    with pytest.raises(AuthFailed, match="no region: set AWS_REGION"):
        await complete(Bedrock(), asking("bedrock", "text"))


async def test_a_bearer_token_is_sent_instead_of_a_signature_but_never_in_the_clear(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "token")
    await complete(opened(stub, "bedrock"), asking("bedrock", "text"))
    assert stub.log[-1]["headers"]["authorization"] == "Bearer token"
    with pytest.raises(AuthFailed, match="over https alone"):
        await complete(Bedrock(base_url="http://10.0.0.1", region="x"), asking("bedrock", "text"))
