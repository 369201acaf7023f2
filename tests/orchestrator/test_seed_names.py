"""R3, R9, R15-R17, R118: the names that readers of other agent libraries know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from orchestrator import (
    Agent,
    CodingAgent,
    completion,
    from_env,
    load_config,
    open_session,
    tool,
    with_fallbacks,
)
from orchestrator.config.load import Config
from orchestrator.errors import ConfigError, Overloaded, ProviderError
from orchestrator.events import Event, Notice
from orchestrator.providers.scripted import Scripted
from orchestrator.types import ToolCall, assistant
from tests.wire.stub import Stub

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(cwd=tmp_path, env={}, display__quiet=True)


class Nameless:
    """All but the name."""

    async def stream(self, request: Any) -> Any:
        yield ""


class Simple:
    """The shape of a provider that other libraries have."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def chat(self, messages: list[dict[str, Any]], model: str) -> str:
        self.asked.append((messages, model))
        return f"{len(messages)} from {model}"

    def list_models(self) -> list[str]:
        return ["b", "a"]


def test_an_agent_is_what_it_was_given_and_nothing_else(config: Config) -> None:
    @tool
    def double(x: int) -> int:
        return 2 * x

    call = assistant(ToolCall(id="1", name="double", arguments={"x": 4}))
    script = Scripted("hi", call, name="fake")
    with Agent(
        "ann", "Be kind.", "fake:m", 4, [double], True, {"temperature": 0.0}, {}, config=config
    ) as agent:
        agent.add_provider("fake", script)
        assert agent.chat("hello") == "hi" and agent.tool_call("double four") == "8"
        assert [one["role"] for one in agent.messages] == ["user", "assistant", "user", "assistant", "tool"]
        assert agent.messages[3]["tool_calls"][0]["function"]["name"] == "double"
    assert script.requests[0].system == "Be kind." and script.requests[0].temperature == 0.0
    with Agent(model="fake:m", config=config) as bare:
        script = Scripted("ok", name="fake")
        bare.add_provider("fake", script)
        bare.chat("x")
    assert script.requests[0].system == "" and script.requests[0].tools == ()


def test_an_agent_has_a_conversation_for_each_user(config: Config) -> None:
    for user, said in (("u1", "I am one"), ("u2", "I am two")):
        with Agent("desk", model="fake:m", session_id=user, config=config) as agent:
            agent.add_provider("fake", Scripted("noted", name="fake"))
            agent.chat(said)
    with Agent("desk", model="fake:m", session_id="u1", config=config) as again:
        assert [one["content"] for one in again.messages] == ["I am one", "noted"]


def double(x: int) -> int:
    """Twice a number."""
    return 2 * x


def test_an_empty_system_prompt_of_a_coding_agent_is_none(config: Config) -> None:
    for given, empty in (("", True), (None, False)):
        script = Scripted("ok", name="fake")
        with CodingAgent(model="fake:m", system_prompt=given, tools=(double,), config=config) as agent:
            agent.add_provider("fake", script)
            agent.chat("x")
        assert (script.requests[0].system == "") is empty


def test_kwargs_that_are_ours_are_kept_from_the_wire_and_others_are_not(config: Config) -> None:
    script = Scripted(Overloaded("fake", "busy"), name="fake")
    kwargs = {"timeout": 7, "num_retries": 0, "max_completion_tokens": 5, "top_k": 3}
    with Agent(model="fake:m", chat_kwargs=kwargs, config=config) as agent:
        agent.add_provider("fake", script)
        with pytest.raises(Overloaded):
            agent.chat("x")
    (request,) = script.requests  # num_retries=0: asked once
    assert (request.timeout_s, request.max_tokens, dict(request.options)) == (7, 5, {"top_k": 3})


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"timeout": "soon"}, "chat_kwargs: timeout: wanted a valid number, found 'soon'"),
        ({"timeout": -1}, "chat_kwargs: timeout: wanted greater than 0, found -1"),
        ({"num_retries": 99}, "chat_kwargs: num_retries: wanted less than or equal to 20"),
        ({"temperature": 3}, "chat_kwargs: temperature: wanted less than or equal to 2"),
        ({"max_tokens": 0}, "chat_kwargs: max_tokens: wanted greater than or equal to 1"),
        ({"timeout": 3, "timeout_s": 4}, "chat_kwargs: timeout_s and timeout mean the same; give one"),
        ({"messages": []}, "chat_kwargs: messages does not belong here; it is given by the prompt"),
    ],
)
def test_a_bad_value_is_blamed_on_the_caller(config: Config, kwargs: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("(", r"\(")):
        Agent(model="fake:m", chat_kwargs=kwargs, config=config)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": 3}, "name: wanted text, found 3"),
        ({"system_prompt": 3}, "system_prompt: wanted text, found 3"),
        ({"model": ["a"]}, r"model: wanted text, found \['a'\]"),
        ({"n_latest_messages": "ten"}, "n_latest_messages: wanted 0 or more, or None for all, found 'ten'"),
        ({"tools": [3]}, "tools: wanted functions, names of servers, .*, found int"),
        ({"tools": 3}, "tools: wanted functions, .*, found int"),
        ({"session_id": 3}, "session_id: wanted text, found 3"),
        ({"name": "a/b"}, "name: wanted one without ./., which parts it from a session_id, found .a/b."),
        ({"chat_kwargs": 5}, "chat_kwargs: wanted names with their values, found 5"),
        ({"tool_kwargs": [1]}, r"tool_kwargs: wanted names with their values, found \[1\]"),
        ({"chat_kwargs": {5: 1}}, "chat_kwargs: wanted names with their values, found {5: 1}"),
        ({"display": 5}, "display: wanted a Display, or None, found int"),
        ({"session_id": ""}, "session_id: wanted one character or more"),
        ({"name": "a", "session_id": "x" * 99}, "name: wanted 1 to 100 characters, those of a session_id in"),
    ],
)
def test_an_argument_of_another_type_is_named(config: Config, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Agent(config=config, **given)


def test_one_stands_for_a_list_of_one_and_a_str_is_not_its_letters(config: Config) -> None:
    def double(x: int) -> int:
        return 2 * x

    call = assistant(ToolCall(id="1", name="double", arguments={"x": 4}))
    with Agent(model="fake:m", tools=double, config=config) as agent:  # type: ignore[arg-type]
        agent.add_provider("fake", Scripted("yes", call, name="fake"))
        assert agent.consult("fake:m", "?") == {"fake:m": "yes"} and agent.tool_call("four") == "8"
        for settings, says in (
            ({"models": "fake:m"}, "models: wanted a list, found 'fake:m'"),
            ({"modles": ["fake:m"]}, "there is no setting 'modles' of vote; there are .*models"),
        ):
            with pytest.raises(ConfigError, match=says):
                agent.together("vote", "?", **settings)
        with pytest.raises(ConfigError, match="no pattern 'voet'; there are ask, consult"):
            agent.together("voet", "?")
    with (
        Agent(model="fake:m", tools="fiels", config=config) as agent,  # type: ignore[arg-type]
        pytest.raises(ConfigError, match="no server 'fiels' is configured; there are files"),
    ):
        agent.chat("?")
    assert with_fallbacks("a:1", "b:1").providers["chain"].fallback == ("a:1", "b:1")
    done = completion("fake:m", "?", providers={"fake": Scripted("yes", name="fake")}, config=config)
    assert done.choices[0].message.content == "yes" and done.usage is None  # nobody counted


def test_a_provider_of_the_simple_shape_works_and_others_are_told_what_they_lack(config: Config) -> None:
    simple = Simple()
    with Agent(system_prompt="Be brief.", model="mine:m", config=config) as agent:
        agent.add_provider("mine", simple)
        assert agent.chat("hello") == "2 from m"
        assert agent.list_all_models()["mine"] == ["a", "b"]
        for name, wrong, says in (
            ("wrong", object(), "object is no provider: it needs stream"),
            ("wrong", Simple, "give an object of it, not the class"),
            ("wr:ong", Simple(), "a provider's name is text without a colon, found 'wr:ong'"),
            ("", Simple(), "found ''"),
            ("wrong", Nameless(), "beside stream.request. it needs a name"),
        ):
            with pytest.raises(ConfigError, match=says):
                agent.add_provider(name, wrong)
    assert simple.asked[0][0] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]


def test_what_a_delegation_or_a_memory_cannot_take_is_said_in_a_sentence(config: Config) -> None:
    odd: Any = 5
    with Agent(model="mine:m", config=config) as agent:
        agent.add_provider("mine", Simple())
        for wrong, says in (
            (lambda: agent.delegate(odd, "x"), "target_model: wanted text, found 5"),
            (lambda: agent.delegate("mine:m", "x", context=odd), "context: wanted text, found 5"),
            (lambda: agent.delegate("mine:m", " "), "task: wanted what is to be done, found nothing"),
            (lambda: agent.memory.store(odd), "text: wanted text, found 5"),
            (lambda: agent.memory.retrieve(odd), "query: wanted text, found 5"),
        ):
            with pytest.raises(ConfigError, match=says):
                wrong()


def test_a_provider_that_cannot_list_hides_no_others_models(config: Config) -> None:
    class Odd:
        def chat(self, messages: Any, model: str) -> str:
            return "x"

        def list_models(self) -> Any:
            return 5

    class Broken(Scripted):
        async def models(self) -> Any:
            raise KeyError("mine")

    told: list[str] = []

    def heard(event: Event) -> None:
        if isinstance(event, Notice):
            told.append(event.text)

    with Agent(config=config, emit=heard) as agent:
        for name, given in (("odd", Odd()), ("broken", Broken(name="broken")), ("good", Simple())):
            agent.add_provider(name, given)
        assert agent.list_all_models()["good"] == ["a", "b"]
    assert "odd cannot list its models: odd: its list_models returned int, not a list" in told
    assert "broken cannot list its models: KeyError: 'mine'" in told


def test_a_provider_that_raises_anything_is_a_failure_and_the_chain_goes_on(config: Config) -> None:
    class Sick:
        def chat(self, messages: Any, model: str) -> str:
            raise KeyError("nothing")

    class Mad:
        name = "mad"

        async def stream(self, request: Any) -> Any:
            yield {}["nothing"]

    class Leaving:
        name = "leaving"

        async def stream(self, request: Any) -> Any:
            raise SystemExit(3)
            yield

    chained = config.with_fallbacks("sick:m", ["mad:m", "leaving:m", "good:m"])
    with Agent(config=chained) as agent:
        for name, given in (
            ("sick", Sick()),
            ("mad", Mad()),
            ("leaving", Leaving()),
            ("good", Simple()),
        ):
            agent.add_provider(name, given)
        assert agent.chat("x") == "1 from m"
        agent.use_model("sick:m")
        with pytest.raises(ProviderError, match="sick: KeyError: 'nothing'"):
            agent.chat("x")
        agent.use_model("leaving:m")
        with pytest.raises(ProviderError, match="leaving: failed by a fault of its own: SystemExit: 3"):
            agent.chat("x")


def test_completion_speaks_the_words_of_openai_in_and_out(config: Config) -> None:
    call = assistant(ToolCall(id="c1", name="weather", arguments={"city": "Oslo"}))
    script = Scripted(call, "Rain.", name="fake")
    more: dict[str, Any] = {"config": config, "providers": {"fake": script}}
    messages: list[Any] = [{"role": "system", "content": "Brief."}, {"role": "user", "content": "Oslo?"}]
    first = completion("fake/m", messages, tools=[WEATHER], **more)
    assert first.choices[0].finish_reason == "tool_calls"
    assert first.choices[0].message.tool_calls is not None
    asked = first.choices[0].message.model_dump(exclude_none=True)
    answer = {"role": "tool", "tool_call_id": "c1", "content": "rain"}
    second = completion(
        "fake:m", [*messages, asked, answer], tools=[WEATHER], max_tokens=9, timeout=3, **more
    )
    assert second.choices[0].message.content == "Rain." and second.model == "fake:m"
    request = script.requests[1]
    assert (request.system, request.max_tokens, request.timeout_s) == ("Brief.", 9, 3)
    assert [m.role for m in request.messages] == ["user", "assistant", "tool"]
    assert request.tools[0].name == "weather"


def test_completion_takes_its_own_answers_functions_and_types_as_they_are(config: Config) -> None:
    def weather(city: str) -> str:
        """Of today."""
        return city

    class Sky(BaseModel):
        colour: str

    script = Scripted(assistant("hm"), '{"colour": "grey"}', name="fake")
    more: dict[str, Any] = {"config": config, "providers": {"fake": script}}
    first = completion("fake:m", "Oslo?", tools=[weather], **more)
    again = [
        {"role": "user", "content": "Oslo?"},
        first.choices[0].message,
        {"role": "user", "content": "well?"},
    ]
    found = completion("fake:m", again, response_format=Sky, **more)
    assert Sky.model_validate_json(found.choices[0].message.content or "") == Sky(colour="grey")
    assert script.requests[0].tools[0].description == "Of today."
    asked = script.requests[1]
    assert [m.text for m in asked.messages] == ["Oslo?", "hm", "well?"]
    assert asked.schema and asked.schema["properties"] == {"colour": {"type": "string"}}
    for wrong in (5, {"role": "user", "content": "hi"}):
        with pytest.raises(ConfigError, match="messages: wanted a list of them, or a text"):
            completion("fake:m", wrong, **more)  # pyright: ignore[reportArgumentType]


def test_completion_asks_the_fallbacks_and_blames_bad_messages_on_the_caller(config: Config) -> None:
    more: dict[str, Any] = {
        "config": config,
        "providers": {"a": Scripted(Overloaded("a", "busy"), name="a"), "b": Simple()},
    }
    hello = [{"role": "user", "content": "hi"}]
    found = completion("a:m", hello, fallbacks=["b:m"], num_retries=0, **more)
    assert found.choices[0].message.content == "1 from m" and found.model == "b:m"
    for messages, says in (
        ([], "completion: messages: "),
        ([{"role": "boss"}], "completion: messages.0.role: "),
    ):
        with pytest.raises(ConfigError, match=says):
            completion("b:m", messages, **more)


def test_completion_raises_what_went_wrong_as_it_is(config: Config) -> None:
    broken = {"a": Scripted(Overloaded("a", "busy"), name="a")}
    with pytest.raises(Overloaded, match="busy"):
        completion("a:m", "hi", config=config, providers=broken, num_retries=0)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"model": "nope:m"}, "no provider 'nope'"),
        ({"config": 3}, "config: wanted a Config, .* found 3"),
        ({"providers": 3}, "providers: wanted {name: provider}, found 3"),
        ({"providers": {"a": None}}, "NoneType is no provider"),
        ({"reasoning_effort": "zzz"}, "completion: reasoning_effort: wanted one of none, .* found 'zzz'"),
        ({"tool_choice": "zzz"}, "completion: tool_choice: wanted one of none, auto, required, found 'zzz'"),
    ]
    for more, says in cases:
        given: dict[str, Any] = {"model": "a:m", "messages": "hi", "config": config, **more}
        with pytest.raises(ConfigError, match=says):
            completion(**given)


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [KeyError("mine"), SystemExit(3)])
async def test_a_session_raises_what_its_body_raised_as_it_is(config: Config, fault: BaseException) -> None:
    with pytest.raises(type(fault)) as caught:
        async with open_session(config):
            raise fault
    assert caught.value is fault


def test_completion_works_inside_a_running_loop_and_against_a_real_wire(stub: Stub, tmp_path: Path) -> None:
    own = {"base_url": stub.url("openai/v1"), "kind": "openai", "api_key_env": "STUB_KEY"}
    import os

    os.environ["STUB_KEY"] = "k"
    config = load_config(cwd=tmp_path, env={}, providers={"house": own})

    async def main() -> Any:
        return completion("house:stub-text", [{"role": "user", "content": "Hi"}], config=config)

    found = asyncio.run(main())
    del os.environ["STUB_KEY"]
    assert found.choices[0].message.content and found.usage.completion_tokens == 20


def test_from_env_and_with_fallbacks_give_a_usable_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert from_env("ollama:qwen3:8b").default_model == "ollama:qwen3:8b"
    chain = with_fallbacks("a:m", ["b:m"], display__quiet=True)
    with Agent(config=chain) as agent:
        agent.add_provider("a", Scripted(ProviderError("a", "down"), name="a"))
        agent.add_provider("b", Scripted("from b", name="b"))
        assert agent.chat("x") == "from b"


def test_a_slow_sdk_holds_up_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    import orchestrator.session.provider_registry as registry

    local_answered = threading.Event()

    def opened(name: str, **settings: Any) -> Any:
        if name == "anthropic":  # an SDK that takes as long as the local model needs to answer
            assert local_answered.wait(20)
        elif name == "ollama":
            return Tells(name="ollama")
        return Scripted("slow", name=name)

    class Tells(Scripted):
        async def stream(self, request: Any) -> AsyncGenerator[Any]:
            local_answered.set()
            async for item in Scripted("quick", name="ollama").stream(request):
                yield item

    monkeypatch.setattr(registry, "open_provider", opened)
    config = load_config(cwd=tmp_path, env={}, display__quiet=True)
    with CodingAgent(model="ollama:m", tools=(), config=config) as agent:
        assert agent.consult(["anthropic:x", "ollama:m"], "?") == {"anthropic:x": "slow", "ollama:m": "quick"}


def test_a_name_that_means_nothing_sinks_nobody_else(config: Config) -> None:
    with Agent(model="good:m", config=config) as agent:
        agent.add_provider("good", Simple())
        answers = agent.consult(["good:m", "what-is-this"], "?")
    assert answers["good:m"] == "1 from m" and "no provider is known" in answers["what-is-this"]
