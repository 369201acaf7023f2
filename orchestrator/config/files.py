"""The files configuration is read from: config.yaml with its line numbers, .env as data, mcp.json of the hosts."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import yaml
from dotenv import dotenv_values
from dotenv.parser import parse_stream

from ..errors import ConfigError
from .yaml_words import in_words

MAX_FILE_BYTES = 1 << 20
MAX_KEYS = 10_000

Place = tuple[str, ...]
"""Where a value stands in the configuration: ("display", "format")."""

SERVER_KEYS = (
    "command",
    "args",
    "env",
    "cwd",
    "url",
    "headers",
    "oauth",
    "transport",
    "disabled",
    "tools",
    "without_tools",
    "start_timeout_s",
    "call_timeout_s",
)
_HOSTS_WORDS = {
    "serverUrl": "url",
    "httpUrl": "url",
    "http_headers": "headers",
    "type": "transport",
    "enabled": "disabled",
    "includeTools": "tools",
    "allowedTools": "tools",
    "enabled_tools": "tools",
    "excludeTools": "without_tools",
    "disabledTools": "without_tools",
    "disabled_tools": "without_tools",
    "startup_timeout_sec": "start_timeout_s",
    "tool_timeout_sec": "call_timeout_s",
    "timeout": "call_timeout_s",
}
"""What hosts call the same things."""
_HOSTS_OWN = {
    "alwaysAllow",
    "autoApprove",
    "description",
    "icon",
    "gallery",
    "version",
    "envFile",
    "dev",
}
"""Keys hosts keep in an entry for themselves."""


@dataclass(slots=True, kw_only=True)
class Layer:
    """Nested values and, for messages, where each was written."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    origins: dict[Place, str] = field(default_factory=dict[Place, str])

    def put(self, place: Place, value: Any, origin: str) -> None:
        inner = self.values
        for key in place[:-1]:
            inner = inner.setdefault(key, {})
        inner[place[-1]] = value
        self._written(place, value, origin)

    def _written(self, place: Place, value: Any, origin: str) -> None:
        """Each part too: below it there may be an origin of a lower layer."""
        self.origins[place] = origin
        if isinstance(value, dict):
            for key, part in cast(dict[str, Any], value).items():
                self._written((*place, key), part, origin)

    def drop(self, place: Place) -> None:
        inner: Any = self.values
        for key in place[:-1]:
            inner = inner[key]
        del inner[place[-1]]
        self.origins = {one: origin for one, origin in self.origins.items() if one[: len(place)] != place}

    def over(self, other: Layer) -> Layer:
        """Both, with the values of this one where both have them."""
        return Layer(values=_merged(other.values, self.values), origins=other.origins | self.origins)

    def origin(self, place: Place) -> str:
        while place and place not in self.origins:
            place = place[:-1]
        return self.origins.get(place, "")


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(low)
    for key, value in high.items():
        below = both.get(key)
        both[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both


def read_bytes(path: Path) -> bytes | None:
    """The file's content; None when there is no such file. Raises ConfigError when it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} has more than {MAX_FILE_BYTES >> 10} KiB; a configuration file may not")
    return data


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from exc


def read_yaml(data: bytes, path: Path) -> Layer:
    """The mapping in a YAML file. Raises ConfigError naming file and line."""
    text, layer = _text(data, path), Layer()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            layer.values = _mapping(root, (), path, layer.origins)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: not valid YAML: {in_words(exc)}") from exc
    except (yaml.YAMLError, ValueError) as exc:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(exc).split())}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{path}: nested too deeply") from exc
    return layer


def _mapping(node: yaml.Node, place: Place, path: Path, origins: dict[Place, str]) -> dict[str, Any]:
    where = f"{path}, line {node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{where}: wanted keys with values, as 'default_model: ollama:qwen3:8b'")
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        where = f"{path}, line {key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{where}: a key must be a plain word")
        key = str(key_node.value)
        if key in found:
            raise ConfigError(f"{where}: {'.'.join((*place, key))} stands here twice; keep one")
        inner = (*place, key)
        origins[inner] = where
        if isinstance(value_node, yaml.MappingNode):
            found[key] = _mapping(value_node, inner, path, origins)
        else:
            found[key] = _plain(value_node)
        if len(origins) > MAX_KEYS:  # aliases of aliases can spell out any number
            raise ConfigError(f"{where}: more than {MAX_KEYS:,} keys; a configuration may not have that many")
    return found


def _plain(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def read_scalar(text: str) -> Any:
    """A number or truth value written in a variable; other text as it is."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    return value if isinstance(value, int | float | bool) else text


def read_env_file(data: bytes, path: Path) -> dict[str, str]:
    """The variables of a .env file, as data: nothing is expanded and the environment does not change."""
    found = dotenv_values(stream=io.StringIO(_text(data, path)), interpolate=False)
    return {name: value for name, value in found.items() if value}


def env_file_origins(data: bytes, path: Path) -> dict[str, str]:
    """Where each variable of a .env file stands."""
    found: dict[str, str] = {}
    for one in parse_stream(io.StringIO(_text(data, path))):
        if one.key is not None:
            text = one.original.string
            line = one.original.line + text[: len(text) - len(text.lstrip())].count("\n")
            found[one.key] = f"{path}, line {line}: {one.key}"
    return found


def read_servers(
    data: bytes,
    path: Path,
    env: Mapping[str, str],
    folder: Path,
    gathered: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[Layer, list[str]]:
    """The servers of an mcp.json in the hosts' own form, and what was passed over.

    `${NAME}` and `${NAME:-default}` stand for variables of `env`, `${workspaceFolder}` for `folder`. Each server is
    read inside `gathered`, which may keep its mistake and go on.
    """
    text = _text(data, path)
    try:
        root: Any = json.loads(text)
    except json.JSONDecodeError as exc:
        raise ConfigError(f"{path}, line {exc.lineno}: not valid JSON: {exc.msg}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{path}: nested too deeply") from exc
    listed: Any = root.get("mcpServers", root.get("servers")) if isinstance(root, dict) else None
    if not isinstance(listed, dict):
        raise ConfigError(
            f'{path}: wanted {{"mcpServers": {{"files": {{"command": "understudy-files", "args": ["."]}}}}}}'
        )
    layer, notices = Layer(), list[str]()
    for name, entry in listed.items():
        origin = f"{path}, line {_line_of(name, text)}, mcpServers.{name}"
        with gathered():
            layer.put(("servers", name), _server(entry, env, folder, origin, notices), origin)
    return layer, notices


def _server(
    entry: Any, env: Mapping[str, str], folder: Path, origin: str, notices: list[str]
) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ConfigError(f'{origin}: wanted {{"command": ..., "args": [...]}}, found {short(entry)}')
    entry = _our_words(cast(dict[str, Any], entry))
    for key in entry:
        if key not in SERVER_KEYS and (near := get_close_matches(key, SERVER_KEYS, n=1)):
            raise ConfigError(f"{origin}: unknown key {key!r}; did you mean {near[0]!r}?")
        if key not in SERVER_KEYS and key not in _HOSTS_OWN:
            notices.append(f"{origin}: the key {key!r} means nothing here")
    kept = {key: value for key, value in entry.items() if key in SERVER_KEYS}
    return _expanded(kept, env, folder, origin)


def _line_of(name: str, text: str) -> int:
    """Where the entry of this name begins; where the file spells it otherwise, the first line."""
    listed = re.search(r'"(mcpServers|servers)"\s*:', text)
    found = re.compile(re.escape(json.dumps(name, ensure_ascii=False)) + r"\s*:").search(
        text, listed.end() if listed else 0
    )
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _our_words(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of any host with what it says in our words; what it says in both stays as we call it."""
    found: dict[str, Any] = {}
    for key, value in entry.items():
        ours = _HOSTS_WORDS.get(key)
        if ours is None:
            found[key] = value
        elif ours not in entry and (said := _said(key, value)) is not None:
            found[ours] = said
    return found


def _said(key: str, value: Any) -> Any:
    """A host's value as ours; None for what says nothing to us."""
    match key:
        case "type":
            known = {"sse": "sse", "http": "http", "streamable-http": "http", "streamableHttp": "http"}
            return known.get(value) if isinstance(value, str) else None
        case "enabled":
            return not value if isinstance(value, bool) else value
        case "timeout" if isinstance(value, int | float) and not isinstance(value, bool) and value >= 1000:
            return value / 1000  # some hosts count milliseconds, none waits for a quarter of an hour
        case _:
            return float(value) if key.endswith(("timeout", "_sec")) and type(value) is int else value


def _expanded(value: Any, env: Mapping[str, str], folder: Path, origin: str) -> Any:
    def one(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name == "workspaceFolder":
            return str(folder)
        found = env.get(name)
        if not found and default is not None:
            return default
        if found is None:
            raise ConfigError(
                f"{origin}: the variable {name} is not set; set it or write ${{{name}:-default}}"
            )
        return found

    if isinstance(value, str):
        return re.sub(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}", one, value)
    if isinstance(value, dict):
        return {key: _expanded(inner, env, folder, origin) for key, inner in value.items()}
    return [_expanded(inner, env, folder, origin) for inner in value] if isinstance(value, list) else value


def short(value: object, limit: int = 60) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
