"""The user's policy: which programs run unasked, which ask, which never run. A TOML file, or what is built in."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ..sandbox.sandbox import Mode
from .git_args import git_subcommand
from .programs import INERT, READERS

Effect = Literal["allow", "ask", "deny"]
ORDER: tuple[Effect, ...] = ("allow", "ask", "deny")

_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 16 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules are a program, or a program with its first words ("git push"); `./` is every program in the workspace."""

    source: str = "built in"
    default: Effect = "ask"
    allow: frozenset[str] = frozenset()
    contained: frozenset[str] = frozenset()  # allowed while a sandbox holds, else asked
    ask: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    ask_fallback: Literal["deny", "allow"] = "deny"  # where the client cannot ask
    sandbox: Mode = "preferred"
    network: bool = False
    env: tuple[str, ...] = ()  # variables handed on, besides the built-in list
    memory_mb: int = field(default_factory=lambda: min(8192, (_MEMORY >> 20) // 4))
    processes: int = 1024
    file_mb: int = 2048

    def refuses(self, effect: Effect) -> bool:
        """Whether this decision means no where nobody can be asked."""
        return effect == "deny" or (effect == "ask" and self.ask_fallback == "deny")


def load(path: Path) -> Policy:
    """The policy of a TOML file. It replaces the built-in rules whole; what it leaves out is empty.

    Raises ValueError with one sentence that names the file, the key, what was found and what would do.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise ValueError(f"policy file {path}: {reason}") from exc
    keys: dict[str, Any] = {"source": str(path)}
    for key, value in given.items():
        match key:
            case "default":
                keys[key] = _one_of(path, key, value, ORDER)
            case "ask_fallback":
                keys[key] = _one_of(path, key, value, ("deny", "allow"))
            case "allow" | "contained" | "ask" | "deny":
                keys[key] = frozenset(" ".join(name.split()) for name in _names(path, key, value))
            case "sandbox":
                keys |= _table(path, key, value, {"mode": "sandbox", "network": "network"})
            case "env":
                keys |= _table(path, key, value, {"pass": "env"})
            case "limits":
                keys |= _table(path, key, value, {n: n for n in ("memory_mb", "processes", "file_mb")})
            case _:
                known = "default, allow, contained, ask, deny, ask_fallback, [sandbox], [env], [limits]"
                raise ValueError(f"policy file {path}: no key {key!r}; there are {known}")
    return Policy(**keys)


def candidates(name: str, args: Sequence[str | None]) -> list[str]:
    """The names a rule may use for this call, the most precise first."""
    names = list(dict.fromkeys([name, re.sub(r"(?<=[a-z])[\d.]+$", "", name)]))
    first = [arg for arg in args[:2] if arg is not None] if None not in args[:1] else []
    prefixes = [" ".join(first[:count]) for count in range(len(first), 0, -1)]
    if name == "git":
        sub, own = git_subcommand(list(args))
        prefixes = [f"{sub} {own[0]}" if own and own[0] else "", sub or "", *prefixes]
    else:
        prefixes.append(
            next((arg for arg in args if arg is None or not arg.startswith(("-", "+"))), None) or ""
        )
    return [*(f"{each} {prefix}" for prefix in dict.fromkeys(prefixes) if prefix for each in names), *names]


def _table(path: Path, name: str, value: object, known: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unfit(path, f"[{name}]", f"a table with {', '.join(known)}", value)
    keys: dict[str, Any] = {}
    for key, inner in value.items():
        shown = f"{name}.{key}"
        match shown:
            case "sandbox.mode":
                keys["sandbox"] = _one_of(path, shown, inner, get_args(Mode))
            case "sandbox.network":
                if not isinstance(inner, bool):
                    raise _unfit(path, shown, "true or false", inner)
                keys["network"] = inner
            case "env.pass":
                keys["env"] = tuple(_names(path, shown, inner))
            case _ if key in known:
                if not isinstance(inner, int) or isinstance(inner, bool) or inner < 1:
                    raise _unfit(path, shown, "a whole number above 0", inner)
                keys[known[key]] = inner
            case _:
                raise ValueError(
                    f"policy file {path}: [{name}] has no key {key!r}; it has {', '.join(known)}"
                )
    return keys


def _one_of(path: Path, key: str, value: object, choices: tuple[str, ...]) -> str:
    if value in choices:
        return str(value)
    raise _unfit(path, key, f"one of {', '.join(choices)}", value)


def _names(path: Path, key: str, value: object) -> list[str]:
    if isinstance(value, list) and all(isinstance(name, str) and name.strip() for name in value):
        return value
    raise _unfit(path, key, "a list of names", value)


def _unfit(path: Path, key: str, wanted: str, found: object) -> ValueError:
    return ValueError(f"policy file {path}: {key} is {wanted}, found {found!r}")


def _words(*lines: str) -> frozenset[str]:
    """Names separated by spaces; `git: status log` stands for "git status" and "git log"."""
    found: set[str] = set()
    for line in lines:
        program, colon, names = line.rpartition(": ")
        found.update(f"{program} {name}" if colon else name for name in names.split())
    return frozenset(found)


BUILT_IN = Policy(
    allow=frozenset({*INERT, *READERS} - {"sed"}),
    contained=_words(
        "./ python python3 pypy pypy3 ipython node deno bun ruby perl php lua luajit R Rscript julia ghc runghc erl elixir swift",
        "java javac kotlin kotlinc scala groovy dotnet sbcl racket guile ocaml tclsh pwsh",
        "sh bash dash ksh mksh ash zsh fish awk gawk mawk nawk sed source .",
        "gcc g++ cc c++ clang clang++ ld ar as nm strip tsc tsx ts-node swc esbuild zig nim crystal",
        "make gmake cmake ctest ninja meson just task scons gradle ./gradlew mvn ant sbt lein mix rake invoke",
        "pytest py.test tox nox unittest coverage hypothesis behave ruff black isort mypy pyright basedpyright pylint",
        "flake8 bandit pyflakes pycodestyle autopep8 yapf pydocstyle vulture",
        "eslint prettier biome oxlint stylelint jest vitest mocha ava tap karma cypress webpack vite rollup turbo",
        "rspec rubocop phpunit shellcheck shfmt yamllint taplo markdownlint hadolint actionlint sqlfluff",
        "gofmt golint staticcheck golangci-lint rustc rustfmt clippy-driver sqlite3 yq xmllint tidy hyperfine valgrind",
        "mkdir touch tee mktemp pre-commit mkdocs sphinx-build protoc flex bison cython maturin pyproject-build",
        "cargo: --version -V build test check clippy fmt run bench doc tree metadata nextest llvm-cov",
        "go: build test vet fmt run list doc env version generate tool",
        "npm: --version -v test t run run-script ls list start exec outdated",
        "yarn: --version test run build lint start", "pnpm: --version test run build lint start exec",
        "uv: --version run tree version", "poetry: --version run check show", "pipenv: run", "pdm: run", "hatch: run test", "rye: run test lint fmt",
        "bundle: exec", "composer: test run-script validate",
        "git: --version status log diff show blame shortlog describe rev-parse rev-list ls-files ls-tree cat-file branch tag remote "
        "stash config grep reflog merge-base name-rev for-each-ref count-objects check-ignore check-attr whatchanged worktree "
        "var version help add commit",
        "pip: list show freeze check --version", "pip3: list show freeze check --version",
    ),
    ask=_words("bun: install i add x update upgrade remove link create init", "deno: install add upgrade"),
    deny=_words("sudo doas su pkexec run0 shutdown reboot halt poweroff mkfs fdisk sfdisk parted wipefs insmod modprobe"),
)  # fmt: skip
"""What a host gets without a policy file: reading is free, running the project's own tools is free inside a sandbox,
what destroys, installs or reaches the network asks."""

NETWORK = _words(
    "curl wget ssh scp sftp rsync nc ncat netcat socat telnet ftp ping traceroute dig nslookup host whois gh glab hub",
    "git: push pull fetch clone ls-remote submodule", "pip: install download wheel", "pip3: install download wheel",
    "uv: pip add remove sync lock tool self python", "poetry: install add update lock publish",
    "pdm: install add update lock sync", "pipenv: install update sync lock",
    "npm: install i ci add update publish audit view search login create init", "npx",
    "yarn: install add upgrade dlx", "pnpm: install i add update dlx", "bun: install add",
    "cargo: install add update fetch publish search login", "go: get install mod", "gem: install update",
    "composer: install update require", "bundle: install update", "docker podman kubectl helm aws gcloud az terraform ollama",
    "apt apt-get dnf yum pacman brew apk snap flatpak conda mamba",
)  # fmt: skip
"""Commands that are of no use without the network: a yes to one of them switches it on for that run."""

LOOPBACK_CLIENTS = _words(
    "curl wget nc ncat netcat telnet http https xh websocat grpcurl ab wrk hey redis-cli"
)
"""Clients that may be asked to talk to what the session itself serves: `curl localhost:8000`."""
LOOPBACK = re.compile(
    r"(?:\w+://)?(?:[^/@\s]*@)?(?:(?:[\w-]+\.)*localhost|127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[::1\]|::1)(?::[^/@]*)?(?:[/?#].*)?$",
    re.IGNORECASE | re.DOTALL,
)
