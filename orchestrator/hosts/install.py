"""Puts our servers into a host's file, or takes them out; what else stands there stays as it was written."""

from __future__ import annotations

import copy
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from servers.protocol.registry import SERVER_COMMANDS

from ..errors import ConfigError
from .documents import Document, document
from .files import BOM, read, write
from .jsonc import Misshapen
from .table import HOSTS, Host, Server

CARRIED = ("UNDERSTUDY_HOME",)
"""Set here, they hold in every host: many pass no variables on."""
ENGINE = ("OLLAMA_HOST", "OLLAMA_BASE_URL")


def servers(
    root: Path, *, name: str | None = None, policy: Path | None = None, allow_remote: bool = False
) -> dict[str, Server]:
    """Our servers on `root`, by the names they get: `name` before each where several projects share a file.

    `allow_remote`: models may run on another machine.
    """
    made: dict[str, Server] = {}
    for kind, command in SERVER_COMMANDS.items():
        args = [str(root)]
        if policy is not None and kind in ("shell", "ollama"):
            args += ["--policy", str(policy)]
        if allow_remote and kind == "ollama":
            args.append("--allow-remote")
        wanted = CARRIED + (ENGINE if kind == "ollama" else ())
        env = {key: os.environ[key] for key in wanted if os.environ.get(key)}
        made[f"{name}-{kind}" if name else kind] = Server(command=program(command), args=tuple(args), env=env)
    return made


def install(host: Host, root: Path, wanted: Mapping[str, Server], *, replace: bool = False) -> Path:
    """Write the servers into the host's file. Raises ConfigError, and changes nothing then."""
    path = host.file(root)
    entries = {name: host.entry(server) for name, server in wanted.items()}

    def edit(held: Mapping[str, Any], put: Callable[[str, Any], None], drop: Callable[[str], None]) -> None:
        for name, entry in entries.items():
            if host.server(held.get(name)) == wanted[name]:
                continue  # perhaps with settings of the person's own beside it
            if name in held and not replace:
                beside = f", or --name puts yours beside it as NAME-{name}" if host.shared else ""
                raise ConfigError(
                    f"{path} already has a server named {name!r} that is not this one; --replace overwrites it"
                    f"{beside}; nothing was changed"
                )
            put(name, entry)

    _edited(host, path, edit)
    return path


def remove(host: Host, root: Path, wanted: Sequence[str]) -> tuple[Path, list[str]]:
    """Take our servers of these names out; others of the same names stay. What was taken out comes back.

    A file that then says nothing at all goes: it was there for the servers.
    """
    path, gone = host.file(root), list[str]()

    def edit(held: Mapping[str, Any], put: Callable[[str, Any], None], drop: Callable[[str], None]) -> None:
        for name in wanted:
            server = host.server(held.get(name))
            if server is not None and is_ours(server):
                drop(name)
                gone.append(name)

    if read(path) is not None:
        _edited(host, path, edit)
    if gone and _says_nothing(host, path):
        path.unlink()
    return path, gone


def _says_nothing(host: Host, path: Path) -> bool:
    text = read(path) or ""
    if path.is_symlink() or path.stat().st_nlink > 1 or re.search("//|/[*]|#", text):
        return False
    return _pruned(_parsed(host, path, text.removeprefix(BOM)).value, _keys(host, path, text)) == {}


def is_ours(server: Server) -> bool:
    return Path(server.command).stem in SERVER_COMMANDS.values()


def entries_of(host: Host, path: Path) -> dict[str, Any]:
    """What the host finds in its file, by name. Raises ConfigError."""
    text = read(path)
    return _held(_parsed(host, path, text.removeprefix(BOM)).value, _keys(host, path, text)) if text else {}


def shown(host: Host, root: Path, wanted: Mapping[str, Server]) -> str:
    """The servers as they would stand in an empty file."""
    path, text = list(host.keys), "" if host.form in ("toml", "yaml") else "{}"
    for name, server in wanted.items():
        text = document(host.form, text).put([*path, name], host.entry(server))
    return text if text.endswith("\n") else text + "\n"


def _edited(host: Host, path: Path, edit: Callable[..., None]) -> None:
    given = read(path)
    bom = BOM if given and given.startswith(BOM) else ""
    text = (given or "").removeprefix(BOM)
    keys = _keys(host, path, given)
    before = _parsed(host, path, text).value
    expected = copy.deepcopy(before) if isinstance(before, dict) else {}

    unforeseen = ConfigError(
        f"{path} is written in a form that cannot be edited in place; nothing was changed"
    )

    def change(make: Callable[[Document], str]) -> None:
        nonlocal text
        try:
            text = make(document(host.form, text))
        except Misshapen as exc:
            raise ConfigError(f"{path}: {exc}; nothing was changed") from exc
        except (ValueError, RecursionError) as exc:  # what the change before has made of it
            raise unforeseen from exc

    def put(name: str, entry: Any) -> None:
        change(lambda doc: doc.put([*keys, name], entry))
        _held(expected, keys, make=True)[name] = entry

    def drop(name: str) -> None:
        change(lambda doc: doc.without([*keys, name]))
        del _held(expected, keys)[name]

    edit(_held(before, keys), put, drop)
    if text == (given or "").removeprefix(BOM):
        return
    if not text.endswith("\n") and given is None:
        text += "\n"
    if _value(host, text, keys) != _pruned(expected, keys):  # better nothing than harm
        raise unforeseen
    write(path, bom + text)


def _value(host: Host, text: str, keys: Sequence[str]) -> Any:
    """What stands in the text, for comparison; None where it cannot be read."""
    try:
        return _pruned(document(host.form, text).value, keys)
    except (ValueError, RecursionError):
        return None


def _parsed(host: Host, path: Path, text: str) -> Document:
    try:
        return document(host.form, text)
    except (ValueError, RecursionError) as exc:
        kind = {"jsonc": "JSON", "json": "JSON", "toml": "TOML", "yaml": "YAML"}[host.form]
        raise ConfigError(f"{path} is not {kind} ({exc}); nothing was changed") from exc


def _keys(host: Host, path: Path, text: str | None) -> tuple[str, ...]:
    """opencode's second version keeps its servers one key deeper."""
    if host.words == "opencode" and text:
        value = _parsed(host, path, text.removeprefix(BOM)).value
        match value:
            case {"mcp": {"servers": {**inner}}} if "command" not in inner:
                return (*host.keys, "servers")
            case _:
                pass
    return host.keys


def _held(value: Any, keys: Sequence[str], *, make: bool = False) -> dict[str, Any]:
    for key in keys:
        if not isinstance(value, dict):
            return {}
        if make and value.get(key) is None:
            value[key] = {}
        value = value.get(key)
    return value if isinstance(value, dict) else {}


def _pruned(value: Any, keys: Sequence[str]) -> Any:
    """Without what is empty on the way to the servers: TOML does not write it."""
    if not keys or not isinstance(value, dict):
        return value
    inner = _pruned(value.get(keys[0]), keys[1:])
    rest = {key: item for key, item in value.items() if key != keys[0]}
    return rest | ({keys[0]: inner} if inner not in ({}, None) else {})


def program(command: str) -> str:
    """Hosts start servers elsewhere with a short PATH, so the path is absolute."""
    script = Path(sys.executable).parent / (command + (".exe" if sys.platform == "win32" else ""))
    return str(script) if script.exists() else command


__all__ = ["HOSTS", "entries_of", "install", "is_ours", "program", "remove", "servers", "shown"]
