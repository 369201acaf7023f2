"""Tools by where they are written: "module:function", "module" or "module:*" for all it marks; file.py does as well."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ConfigError, reason
from .function_tool import FunctionTool


def load_tools(spec: str, folder: str | Path = ".") -> list[FunctionTool[..., Any]]:
    """The tools that `spec` names. A module is looked for where Python looks, then in `folder`.

    Raises ConfigError when the module cannot be imported, or holds no such tool.
    """
    where, _, name = spec.rpartition(":") if _names_a_function(spec) else (spec, "", "")
    module = _imported(where, Path(folder))
    if name and name != "*":
        if not callable(found := getattr(module, name, None)):
            said = ", ".join(sorted(_functions(module))) or "none"
            raise ConfigError(f"{where} has no function {name!r}; there are {said}")
        return [found if isinstance(found, FunctionTool) else FunctionTool(found)]
    marked = [one for one in vars(module).values() if isinstance(one, FunctionTool)]
    if not marked:
        near = sorted(_functions(module))
        hint = f", or name one: {where}:{near[0]}" if near else ""
        raise ConfigError(f"{where} marks no function with @tool; mark them{hint}")
    return list(dict.fromkeys(marked))


def is_function(name: str) -> bool:
    """Whether this is a place of functions and not the name of a server: "module:*" names all a module marks."""
    return ":" in name or "." in name


def _names_a_function(spec: str) -> bool:
    _, colon, name = spec.rpartition(":")
    return bool(colon) and (name.isidentifier() or name == "*")


def _functions(module: ModuleType) -> list[str]:
    return [
        name
        for name, one in vars(module).items()
        if not name.startswith("_") and callable(one) and getattr(one, "__module__", "") == module.__name__
    ]


def _imported(where: str, folder: Path) -> ModuleType:
    try:
        if where.endswith(".py"):
            return _from_file(folder / Path(where).expanduser())
        return _from_name(where, folder.resolve())
    except ConfigError:
        raise
    except (Exception, SystemExit) as exc:
        raise ConfigError(f"the tools of {where!r} cannot be loaded: {reason(exc)}") from exc


def _from_name(name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name != name.partition(".")[0]:
            raise
    place = str(folder)
    sys.path.append(place)  # last, so that nothing in the folder stands in for an installed module
    try:
        importlib.invalidate_caches()
        return importlib.import_module(name)
    finally:
        sys.path.remove(place)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"there is no file {path} to load tools from")
    name = f"understudy_tools_{path.stem}_{abs(hash(path.resolve())):x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their module up while it is being read
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
