"""R115-R117: where a setting comes from, and what is said when it is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config.load import load_config
from orchestrator.errors import ConfigError


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def own_folder() -> Path:
    return Path(os.environ["HOME"]) / ".config" / "understudy"


def test_a_flag_beats_the_environment_beats_dotenv_beats_the_file_beats_the_users_own_file(
    tmp_path: Path,
) -> None:
    write(own_folder(), "config.yaml", "default_model: ollama:own\nmax_rounds: 3\n")
    assert load_config(cwd=tmp_path, env={}).default_model == "ollama:own"
    write(tmp_path, "config.yaml", "default_model: ollama:yaml\n")
    assert load_config(cwd=tmp_path, env={}).default_model == "ollama:yaml"
    write(tmp_path, ".env", "DEFAULT_MODEL=ollama:dotenv\n")
    assert load_config(cwd=tmp_path, env={}).default_model == "ollama:dotenv"
    env = {"DEFAULT_MODEL": "ollama:env"}
    assert load_config(cwd=tmp_path, env=env).default_model == "ollama:env"
    config = load_config(cwd=tmp_path, env=env, default_model="ollama:flag", temperature=None)
    assert (config.default_model, config.max_rounds) == ("ollama:flag", 3)


def test_with_nothing_written_the_four_servers_stand_on_the_folder_and_unknown_is_none(
    tmp_path: Path,
) -> None:
    config = load_config(cwd=tmp_path, env={})
    assert {name: server.launch()["command"] for name, server in config.servers.items()} == {
        name: f"understudy-{name}" for name in ("files", "shell", "git", "ollama")
    }
    assert all(s.args == (str(tmp_path),) and s.cwd == str(tmp_path) for s in config.servers.values())
    assert (config.default_model, config.temperature, config.max_tokens, config.max_rounds) == (
        None,
        None,
        None,
        15,
    )
    assert config.request_settings() == {} and config.usable_providers() == ["ollama"]


def test_numbers_and_truth_values_in_variables_are_read_as_such(tmp_path: Path) -> None:
    env = {
        "UNDERSTUDY_TEMPERATURE": "0",
        "UNDERSTUDY_MAX_TOKENS": "1024",
        "UNDERSTUDY_DISPLAY_QUIET": "true",
        "UNDERSTUDY_DISPLAY_FORMAT": "json",
        "FAST_MODEL": "",
    }
    config = load_config(cwd=tmp_path, env=env)
    assert config.request_settings() == {"temperature": 0.0, "max_tokens": 1024}
    assert (config.display.quiet, config.display.format, config.fast_model) == (True, "json", None)


def test_flags_reach_inside_a_section(tmp_path: Path) -> None:
    write(tmp_path, "config.yaml", "display:\n  color_code_models: false\n")
    display = load_config(cwd=tmp_path, env={}, display__format="plain").display
    assert (display.format, display.color_code_models) == ("plain", False)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("default_model: ollama:x\ntemprature: 1\n", 2, ["temprature", "did you mean 'temperature'?"]),
        ("max_iterations: 4\n", 1, ["did you mean 'max_rounds'?"]),
        (
            "display:\n  show_delegations: true\n  format: ritch\n",
            3,
            ["display.format", "'ritch'", "did you mean 'rich'?"],
        ),
        ("\n\nmax_rounds: many\n", 3, ["max_rounds", "wanted a whole number", "'many'"]),
        ("max_rounds: yes\n", 1, ["wanted a whole number", "True"]),
        ("max_rounds: 0\n", 1, ["wanted at least 1", "found 0"]),
        ("timeout_s: .inf\n", 1, ["timeout_s", "finite", "inf"]),
        ("default_model: ''\n", 1, ["wanted a model as provider:model"]),
        ("default_model: 5\n", 1, ["wanted text", "found 5"]),
        ("display: rich\n", 1, ["display", "'rich'"]),
        ("default_model: a:b\ndefault_model: c:d\n", 2, ["twice"]),
        ("agents:\n  lead:\n    modell: a:b\n", 3, ["agents.lead.modell", "did you mean 'model'?"]),
        (
            "providers:\n  openai:\n    base_url: localhost:8000\n",
            3,
            ["providers.openai.base_url", "http://"],
        ),
        ("agents:\n  'my agent':\n    model: a:b\n", 2, ["my agent", "letters, digits"]),
        ("default_model: [a\n", 2, ["not valid YAML: a bracket is not closed by ]; it began on line 1"]),
        ('default_model: "a\n', 2, ["not valid YAML: a quotation is not closed; it began on line 1"]),
        ("display: quiet: true\n", 1, ["not valid YAML: a key where none can stand", "holds a colon"]),
        ("display:\n\tquiet: true\n", 2, ["not valid YAML: a tab; indent with spaces"]),
        ("display:\n  quiet: true\n theme: dark\n", 3, ["not valid YAML: a line that is indented unlike"]),
        ("default_model: @a\n", 1, ["not valid YAML: a value that begins with @ wants quotes"]),
        ("default_model: a:b\nretries\n", 3, ["not valid YAML: a key without a colon", "line 2"]),
        ("- a\n- b\n", 1, ["wanted keys with values"]),
        ("folder: /\ndefault_model: a:b\n", 1, ["folder is found out, not written"]),
        ("panel: ollama:a\n", 1, ["panel: wanted a list", "found 'ollama:a'"]),
        ("display:\n  quiet: maybe\n", 2, ["display.quiet: wanted true or false", "'maybe'"]),
        ("providers:\n  box:\n    kind: opnai\n", 3, ["providers.box.kind: wanted one of", "'openai'?"]),
        ("providers:\n  opnai:\n    retries: 1\n", 2, ["no provider 'opnai'", "did you mean 'openai'?"]),
        ("providers:\n  box:\n    base_url: http://h\n", 2, ["no provider 'box'", "kind: openai"]),
        ("aliases:\n  a: b\n  b: a\n", 2, ["aliases.a", "leads back to itself: a -> b -> a"]),
        ("aliases:\n  quick: nobody:m\n", 2, ["aliases.quick: no provider 'nobody'"]),
        ("default_model: nobody:m\n", 1, ["default_model: no provider 'nobody'"]),
        ("default_model: quick\n", 1, ["default_model: no provider is known for the model 'quick'"]),
        ("memory: {embeddings: nobody:m}\n", 1, ["memory.embeddings: no provider 'nobody'"]),
        ("agents:\n  a:\n    model: nobody:m\n", 3, ["agents.a.model: no provider 'nobody'"]),
        (
            "patterns:\n  p:\n    use: pipeline\n    stages: {one: {model: 'nobody:m'}}\n",
            4,
            ["patterns.p.stages.one.model: no provider 'nobody'"],
        ),
        ("default_model: !!python/object/apply:os.system [id]\n", 1, ["not valid YAML"]),
    ],
)
def test_a_wrong_file_is_named_with_line_key_finding_and_cure(
    tmp_path: Path, text: str, line: int, says: list[str]
) -> None:
    path = write(tmp_path, "config.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, cwd=tmp_path, env={})
    said = str(caught.value)
    assert f"{path}, line {line}" in said
    assert all(part in said for part in says), said


def test_all_mistakes_of_all_files_are_told_at_once_and_before_anybody_is_asked_to_trust(
    tmp_path: Path,
) -> None:
    write(tmp_path, "config.yaml", "temprature: 1\nmax_rounds: many\ntools: [mine.py]\ndefault_model: x:m\n")
    servers = {"a": {"comand": "x"}, "b": {"command": "y", "args": "z"}, "c": {"command": "evil"}}
    write(tmp_path, "mcp.json", json.dumps({"mcpServers": servers}, indent=1))
    write(tmp_path, ".env", "ANTHROPIC_BASE_URL=https://far.example\nUNDERSTUDY_TEMPERATURE=hot\n")
    write(own_folder(), "config.yaml", "display: {format: ritch}\n")
    asked: list[Path] = []
    with pytest.raises(ConfigError) as caught:
        load_config(cwd=tmp_path, env={}, approve=lambda path, _: asked.append(path) is None)
    said = str(caught.value)
    for part in (
        "7 mistakes in the configuration:\n",
        f"{tmp_path}/config.yaml, line 1: temprature: unknown key",
        f"{tmp_path}/config.yaml, line 2: max_rounds: wanted a whole number",
        f"{tmp_path}/config.yaml, line 4: default_model: no provider 'x'",
        f"{tmp_path}/mcp.json, line 3, mcpServers.a: unknown key 'comand'",
        f"{tmp_path}/mcp.json, line 6, mcpServers.b: servers.b.args: wanted a list",
        f"{tmp_path}/.env, line 2: UNDERSTUDY_TEMPERATURE: temperature: wanted a number",
        "config.yaml, line 1: display.format: wanted 'rich'",
    ):
        assert part in said, part
    assert asked == []


def test_a_wrong_variable_or_flag_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"environment variable UNDERSTUDY_MAX_ROUNDS: max_rounds: .*'lots'"
    ):
        load_config(cwd=tmp_path, env={"UNDERSTUDY_MAX_ROUNDS": "lots"})
    write(tmp_path, ".env", "UNDERSTUDY_TEMPERATURE=9\n")
    with pytest.raises(ConfigError, match=r"\.env, line 1: UNDERSTUDY_TEMPERATURE: temperature: .* found 9"):
        load_config(cwd=tmp_path, env={})
    with pytest.raises(
        ConfigError, match=r"--max-round: max_round: unknown key; did you mean 'max_rounds'\?"
    ):
        load_config(cwd=tmp_path, env={"UNDERSTUDY_TEMPERATURE": "1"}, max_round=3)


def test_a_named_file_that_is_missing_or_not_text_or_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no configuration file"):
        load_config(tmp_path / "none.yaml", cwd=tmp_path, env={})
    (tmp_path / "latin.yaml").write_bytes(b"default_model: a:b\nx: \xff\n")
    with pytest.raises(ConfigError, match="line 2: not UTF-8"):
        load_config(tmp_path / "latin.yaml", cwd=tmp_path, env={})
    (tmp_path / "big.yaml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(ConfigError, match="more than 1024 KiB"):
        load_config(tmp_path / "big.yaml", cwd=tmp_path, env={})


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, "a: &a [*a]\n", "a: &a {b: *a}\n", "a: " + "{b: " * 3000]
    + [
        "\n".join(
            ["a0: &a0 {x: 1, y: 2}"] + [f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}" for i in range(1, 40)]
        )
    ],
)
def test_bombs_of_nesting_and_aliases_are_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "config.yaml", text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load_config(path, cwd=tmp_path, env={})


@given(text=st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_config_error(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name in ("config.yaml", "mcp.json", ".env"):
        (folder / name).write_text(text, encoding="utf-8", newline="")
        try:
            load_config(cwd=folder, env={})
        except ConfigError as exc:
            assert str(folder) in str(exc)  # noqa: PT017  (either outcome is right)
        (folder / name).unlink()


WORDS = st.sampled_from(
    [
        "http://[",
        "http://localhost:99999",
        "\x00",
        "[",
        ":",
        "understudy-files",
        "${A",
        "..",
        "",
        "ollama:x",
        "💥",
        "a" * 300,
    ]
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
ENTRY = st.dictionaries(
    st.sampled_from(["command", "args", "env", "cwd", "url", "base_url", "model", "options"]), ODD
)
SECTION = ODD | st.dictionaries(WORDS | st.sampled_from(["files", "ollama"]), ENTRY | ODD, max_size=3)
WHOLE = st.dictionaries(
    st.sampled_from(
        [
            "servers",
            "mcpServers",
            "providers",
            "agents",
            "display",
            "aliases",
            "models",
            "budget_usd",
            "max_rounds",
        ]
    ),
    SECTION,
)


@settings(max_examples=50)
@given(whole=WHOLE, name=st.sampled_from(["config.yaml", "mcp.json"]), trusted=st.booleans(), host=WORDS)
def test_any_values_anywhere_are_a_configuration_or_a_config_error(
    whole: dict[str, object], name: str, trusted: bool, host: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    (folder / name).write_text(json.dumps(whole), encoding="utf-8")  # JSON is YAML too
    try:
        config = load_config(cwd=folder, env={"OLLAMA_HOST": host}, approve=lambda *_: trusted)
    except ConfigError as exc:
        assert all(str(exc).split("\n"))  # noqa: PT017  (either outcome is right)
    else:
        assert all(server.launch()["command"] for server in config.servers.values())


def test_a_key_in_the_file_is_refused_without_being_repeated(tmp_path: Path) -> None:
    path = write(tmp_path, "config.yaml", "providers:\n  openai:\n    api_key: sk-verysecret123\n")
    with pytest.raises(
        ConfigError, match=r"line 3: providers.openai.api_key: keys do not stand in this file"
    ) as caught:
        load_config(path, cwd=tmp_path, env={})
    assert "verysecret" not in str(caught.value)


def test_keys_of_dotenv_reach_the_sdks_and_nothing_else_changes_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "already here")
    for name in ("ANTHROPIC_API_KEY", "LD_PRELOAD", "DEFAULT_MODEL"):
        monkeypatch.delenv(name, raising=False)
    write(
        tmp_path,
        ".env",
        "ANTHROPIC_API_KEY=k1\nOPENAI_API_KEY=k2\nLD_PRELOAD=/tmp/x.so\nDEFAULT_MODEL=ollama:${HOME}\n",
    )
    before = dict(os.environ)
    config = load_config(cwd=tmp_path)
    try:
        assert dict(os.environ) == before | {"ANTHROPIC_API_KEY": "k1"}
    finally:
        os.environ.pop("ANTHROPIC_API_KEY", None)
    assert config.default_model == "ollama:${HOME}"
    assert {"anthropic", "openai"} <= set(config.usable_providers())
    assert "k1" not in repr(config) and "k1" not in config.model_dump_json()


@pytest.mark.parametrize(
    ("variable", "value", "address"),
    [
        ("OLLAMA_BASE_URL", "http://127.0.0.1:9999", "http://127.0.0.1:9999"),
        ("OLLAMA_HOST", "0.0.0.0", "http://127.0.0.1:11434"),
        ("OLLAMA_HOST", "localhost:9000", "http://localhost:9000"),
        ("OLLAMA_HOST", ":9000", "http://127.0.0.1:9000"),
        ("OLLAMA_HOST", "https://gpu.example/ollama/", "https://gpu.example:443/ollama"),
    ],
)
def test_the_address_of_ollama_reaches_its_provider_and_its_server(
    tmp_path: Path, variable: str, value: str, address: str
) -> None:
    config = load_config(cwd=tmp_path, env={variable: value})
    assert config.providers["ollama"].open_settings() == {"base_url": address}
    assert config.servers["ollama"].env == {"OLLAMA_BASE_URL": address}
    assert config.servers["files"].env == {}


def test_a_new_model_or_compatible_service_needs_only_configuration(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "config.yaml",
        "default_model: box:new-model\naliases: {fast: ollama:tiny}\nproviders:\n  box:\n    kind: openai\n"
        "    base_url: http://gpu-box:8000/v1\n    max_parallel: 2\n    options: {max_retries: 1}\n",
    )
    config = load_config(path, cwd=tmp_path, env={})
    assert config.providers["box"].open_settings() == {
        "kind": "openai",
        "base_url": "http://gpu-box:8000/v1",
        "max_retries": 1,
    }
    assert config.aliases == {"fast": "ollama:tiny"} and "box" in config.usable_providers()


def test_settings_of_one_model_or_of_all_that_fit_a_pattern_win_over_the_general_ones(tmp_path: Path) -> None:
    text = """
temperature: 0.0
max_tokens: 1024
models:
  "ollama:*": {max_tokens: 300, options: {seed: 1}}
  "ollama:big": {temperature: 1.0, think: low}
"""
    config = load_config(write(tmp_path, "own.yaml", text), cwd=tmp_path, env={})
    assert config.request_settings("openai:x") == {"temperature": 0.0, "max_tokens": 1024}
    assert config.request_settings("ollama:small")["max_tokens"] == 300
    assert config.request_settings("ollama:big") == {
        "temperature": 1.0,
        "max_tokens": 300,
        "think": "low",
        "options": {"seed": 1},
    }
    wrong = write(tmp_path, "wrong.yaml", "models:\n  ollama:x:\n    temprature: 1\n")
    with pytest.raises(
        ConfigError, match=r"line 3: models\.ollama:x\.temprature: unknown key; did you mean 'temperature'"
    ):
        load_config(wrong, cwd=tmp_path, env={})


SEEDS = """
default_model: "anthropic:claude-3-5-sonnet"
fast_model: "ollama:codellama"
temperature: 0.7
providers:
  anthropic:
    default_model: claude-3-5-sonnet-20241022
    max_tokens: 4096
  openai:
    default_model: gpt-4o
    max_tokens: 2048
    temperature: 0.1
  ollama:
    base_url: http://localhost:11434
    default_model: codellama
display:
  color_code_models: true
  show_delegations: true
  show_model_switches: false
"""


def test_a_provider_has_a_model_and_settings_of_its_own_between_the_general_and_a_models(
    tmp_path: Path,
) -> None:
    write(tmp_path, "config.yaml", SEEDS + 'models: {"openai:o*": {max_tokens: 99}}\n')
    config = load_config(cwd=tmp_path, env={}, timeout_s=30.0)
    assert config.notices == () and not config.display.show_model_switches
    assert [config.resolve(name) for name in ("anthropic", "openai", "ollama", "fast")] == [
        "anthropic:claude-3-5-sonnet-20241022",
        "openai:gpt-4o",
        "ollama:codellama",
        "ollama:codellama",
    ]
    asked = {
        name: config.request_settings(config.resolve(name)) for name in ("anthropic", "openai", "ollama")
    }
    assert asked["anthropic"] == {"temperature": 0.7, "max_tokens": 4096, "timeout_s": 30.0}
    assert asked["openai"] == {"temperature": 0.1, "max_tokens": 2048, "timeout_s": 30.0}
    assert asked["ollama"] == {"temperature": 0.7, "timeout_s": 30.0}
    assert config.request_settings("openai:o3")["max_tokens"] == 99
    group = write(tmp_path, "group.yaml", "providers: {g: {fallback: ['a:b'], max_tokens: 5}}\n")
    with pytest.raises(ConfigError, match="of its models' own provider"):
        load_config(group, cwd=tmp_path, env={})


def test_where_no_model_is_chosen_the_first_provider_with_its_own_and_its_key_is(tmp_path: Path) -> None:
    path = write(tmp_path, "config.yaml", SEEDS.replace("default_model", "#", 1))
    assert load_config(cwd=tmp_path, env={}).default_model == "ollama"
    chosen = load_config(cwd=tmp_path, env={"OPENAI_API_KEY": "k"})
    assert chosen.default_model and chosen.resolve(chosen.default_model) == "openai:gpt-4o"
    assert chosen.written.origin(("default_model",)).startswith(f"{path}, line 10")
    assert (
        load_config(cwd=tmp_path, env={"DEFAULT_MODEL": "ollama:b", "OPENAI_API_KEY": "k"}).default_model
        == "ollama:b"
    )
