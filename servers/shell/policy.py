"""May this command run: allow, ask or deny, decided on a real parse, the worst of all it contains.

The policy decides only when to ask. What can happen is decided by the sandbox.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..outcome import one_line, visible
from ..places import protected, secret
from . import programs
from .parsing import MAX_BYTES, MAX_COMMANDS, Call, Script, Word, parse
from .rules import NETWORK, ORDER, Effect, Policy
from .sandbox import Level

_MAX_DEPTH = 8
_SYSTEM_FOLDERS = (
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/opt/homebrew/bin",
)
_READABLE = (
    "/usr/",
    "/bin/",
    "/lib",
    "/opt/",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/version",
    "/proc/loadavg",
    "/etc/os-release",
)
_DEVICES = re.compile(r"/dev/(null|zero|full|random|urandom|stdin|stdout|stderr|tty|fd/\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one part of the command came to, and the rule that says so."""

    effect: Effect
    part: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    effect: Effect
    findings: tuple[Finding, ...]
    network: bool = False  # pointless without the network
    background: bool = False  # starts something it does not wait for

    @property
    def worst(self) -> Finding:
        """The part that decided."""
        return max(self.findings, key=lambda finding: ORDER.index(finding.effect))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A policy on one workspace under one sandbox."""

    policy: Policy
    root: Path
    level: Level
    path: str = field(default_factory=lambda: os.environ.get("PATH", os.defpath))

    def text(
        self, command: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Decision:
        """Decide on a shell text."""
        case = _Case(self, cwd or self.root)
        case.environment(env or {})
        case.script(command, 0)
        return case.decision()

    def argv(
        self, argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Decision:
        """Decide on a program and its arguments, which no shell will read."""
        case = _Case(self, cwd or self.root)
        case.environment(env or {})
        case.characters("".join(argv))
        case.call(Call(words=tuple(Word(raw=shlex.quote(arg), text=arg) for arg in argv)), Script(), 0)
        return case.decision()


class _Case:
    """One decision being made."""

    def __init__(self, judge: Judge, cwd: Path) -> None:
        self.judge, self.policy, self.cwd = judge, judge.policy, cwd
        self.findings: list[Finding] = []
        self.network = self.background = self.risky = self.moved = False
        self.commands = 0

    def decision(self) -> Decision:
        if not self.findings:
            self.add("allow", "", "nothing to run")
        worst = max(self.findings, key=lambda finding: ORDER.index(finding.effect)).effect
        return Decision(
            effect=worst, findings=tuple(self.findings), network=self.network, background=self.background
        )

    def add(self, effect: Effect, part: str, rule: str) -> None:
        self.findings.append(Finding(effect=effect, part=one_line(part)[:200], rule=rule))

    def characters(self, text: str) -> None:
        if "\0" in text:
            self.add("deny", text[:40], "a NUL character")
        elif text.replace("\r", "\\r") != visible(text):
            self.add("ask", text[:80], "control or invisible characters")

    def environment(self, env: Mapping[str, str]) -> None:
        for name in env:
            if programs.RISKY_VARIABLES.fullmatch(name):
                self.risky = True

    def script(self, text: str, depth: int) -> None:
        self.characters(text)
        if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            return self.add("deny", text[:40], f"longer than {MAX_BYTES >> 10} KiB; put it in a script file")
        script = parse(text)
        self.commands += len(script.calls)
        if self.commands > MAX_COMMANDS:
            return self.add(
                "deny", text[:40], f"more than {MAX_COMMANDS} commands; put them in a script file"
            )
        self.background |= script.background
        self.risky |= any(programs.RISKY_VARIABLES.fullmatch(name) for name in script.assigned)
        for trouble in script.trouble:
            self.add("ask", text[:80], trouble)
        self.moved |= any(
            call.words and call.words[0].text in ("cd", "pushd", "popd") for call in script.calls
        )
        for word in script.writes:
            self.written(word)
        for word in script.reads:
            self.read("<", word, script)
        for call in script.calls:
            self.call(call, script, depth)

    def call(self, call: Call, script: Script, depth: int) -> None:
        if not call.words:
            return
        shown = " ".join(word.raw for word in call.words)
        if depth > _MAX_DEPTH:
            return self.add("ask", shown, "commands within commands, deeper than can be followed")
        first, *rest = call.words
        if any(programs.RISKY_VARIABLES.fullmatch(name) for name in call.assigned):
            self.risky = True
        if first.text is None or first.glob:
            return self.add("ask", shown, "which program this is, only the shell knows")
        if first.text in script.functions:
            return  # its body has been judged
        if first.odd:
            self.add("ask", shown, "a program's name spelled with escapes")
        name, trouble = self.identify(first.text)
        if trouble:
            self.add("ask", shown, trouble)
        self.judged(name, first.text, rest, call, script, shown, depth)

    def identify(self, text: str) -> tuple[str, str | None]:
        """The program's plain name; one inside the workspace is `./`, whatever it is called."""
        if "/" not in text:
            where = shutil.which(text, path=self.judge.path)
            if where and Path(where).resolve().is_relative_to(self.judge.root) and text not in programs.INERT:
                return text if text in self.policy.contained else "./", None
            return text, None
        folder, _, name = text.rpartition("/")
        if folder in _SYSTEM_FOLDERS:
            return name, None
        place = Path(os.path.normpath(self.cwd / text))
        if place.is_relative_to(self.judge.root) and (not self.moved or ".." not in text):
            return "./", None if name not in self.policy.deny else f"named like {name}"
        if name in self.policy.deny:
            return name, None
        return text, "a program outside the workspace and the system's folders"

    def judged(
        self, name: str, spelled: str, rest: list[Word], call: Call, script: Script, shown: str, depth: int
    ) -> None:
        args = [None if word.glob and not re.search(r"[^*?]", word.raw) else word.text for word in rest]
        if name in programs.SHELLS and not self._script_file(name, rest, call, shown, depth):
            return
        if name in ("eval", "trap"):
            return self._evaluated(name, args, shown, depth)
        module = self._python_module(name, args)
        if module:
            name, args, rest = module, args[args.index("-m") + 2 :], rest[args.index("-m") + 2 :]
        effect, rule = self.ruled(name, args, spelled)
        if name == "find":
            rest = self._find_runs(rest, script, depth)
            args = [word.text for word in rest]
        if (wrapper := programs.WRAPPERS.get(name)) and name != "coverage":
            inner = self._unwrapped(name, wrapper, rest, shown)
            if inner and inner[0].text is not None and inner[0].text.startswith("-"):
                self.add("ask", shown, f"an option of {name} that is not known here: {inner[0].raw}")
            elif inner:
                fed = Script(
                    tame=script.tame | ({"fed"} if self.judge.level != "none" else set()),
                    functions=script.functions,
                )
                self.call(Call(words=tuple(inner), stdin=call.stdin, piped=call.piped), fed, depth + 1)
            if (
                name in programs.TRANSPARENT
                and rule == "default"
                and (inner or name in ("env", "exec", "command", "builtin"))
            ):
                return self.add("allow", shown, f"{name} only starts another command")
        self._runner(name, rest, script, depth)
        if effect == "allow":
            effect, rule = self._limited(name, args, rest, script, effect, rule)
        if _matches(NETWORK, _candidates(name, args)):
            self.network = True
        self.add(effect, shown, rule)

    def ruled(self, name: str, args: list[str | None], spelled: str) -> tuple[Effect, str]:
        """What the policy's lists say: deny wins, then the rule with the most words."""
        found = [*_candidates(name, args), *([spelled] if "/" in spelled else [])]
        for candidate in [*found, name.partition(".")[0]]:  # mkfs.ext4 is mkfs
            if candidate in self.policy.deny:
                return "deny", f"deny {candidate!r}"
        for candidate in found:
            if candidate in self.policy.ask:
                return "ask", f"ask {candidate!r}"
            if candidate in self.policy.contained and candidate not in self.policy.allow:
                if self.judge.level == "none":
                    return "ask", f"{candidate!r} is allowed only inside a sandbox, and none works here"
                return "allow", f"contained {candidate!r}"
            if candidate in self.policy.allow:
                return "allow", f"allow {candidate!r}"
        return self.policy.default, "default"

    def _limited(
        self, name: str, args: list[str | None], rest: list[Word], script: Script, effect: Effect, rule: str
    ) -> tuple[Effect, str]:
        """What takes an allowed program beyond what its name says."""
        contained = rule.startswith("contained") and self.judge.level != "none"
        known = [
            self._known(word, script) if text is None else text for word, text in zip(rest, args, strict=True)
        ]
        trouble = programs.flag_trouble(name, known)
        if trouble and not (contained and name.endswith("awk")):
            return "ask", f"{name} with {one_line(trouble)[:80]}"
        if programs.runs_code(name, args) and self.judge.level == "none":
            return "ask", f"{name} runs a program from its arguments, and no sandbox works here"
        if self.risky and not contained and name not in programs.INERT:
            return "ask", "a variable is set that decides which code programs run"
        if name in programs.READERS and name != "tr":
            for word in self._operands(name, rest):
                if refusal := self._reading(word, script):
                    return "ask", refusal
        return effect, rule

    def _known(self, word: Word, script: Script) -> str | None:
        """A stand-in for a word that can only be a plain relative name."""
        if word.glob and word.text and not word.text.startswith(("*", "?", "[")):
            return word.text
        return "name" if (word.names and set(word.names) <= script.tame) else None

    def _operands(self, name: str, rest: list[Word]) -> list[Word]:
        """The words that may be paths: operands, values of options, but not the leading patterns."""
        patterns = programs.READERS[name]
        if any(word.text in ("-e", "-f", "--expression", "--regexp") for word in rest):
            patterns = 0
        found: list[Word] = []
        after_pattern = False
        for word in rest:
            text = word.text
            if text is not None and text.startswith("-") and len(text) > 1:
                after_pattern = text in (
                    "-e",
                    "--regexp",
                    "--expression",
                    "-name",
                    "-iname",
                    "-path",
                    "-regex",
                )
                if "=" in text and text.partition("=")[2].startswith(("/", "~", "..")):
                    found.append(Word(raw=word.raw, text=text.partition("=")[2]))
            elif after_pattern:
                after_pattern = False
            elif patterns:
                patterns -= 1
            elif not (name == "date" and (text or "").startswith("+")):
                found.append(word)
        return found

    def _reading(self, word: Word, script: Script) -> str | None:
        """Why reading what this word names wants a question, or None."""
        if word.text is None:
            if word.names and set(word.names) <= script.tame:
                return None
            return f"which file {word.raw[:60]} is, only the shell knows"
        if _DEVICES.fullmatch(word.text) or (word.text.startswith(_READABLE) and ".." not in word.text):
            return None
        place = self.place(word.text)
        if place is None:
            return f"{word.raw[:80]} is outside the workspace"
        if rule := secret(place):
            return f"{word.raw[:80]} may hold secrets ({rule})"
        return None

    def read(self, sign: str, word: Word, script: Script) -> None:
        if refusal := self._reading(word, script):
            self.add("ask", f"{sign} {word.raw}", refusal)

    def written(self, word: Word) -> None:
        shown = f"> {word.raw}"
        if word.text is None or word.glob:
            return self.add("ask", shown, "which file is written, only the shell knows")
        if _DEVICES.fullmatch(word.text):
            return
        place = self.place(word.text)
        if place is None:
            return self.add("ask", shown, "writes outside the workspace")
        if rule := protected(place):
            return self.add("ask", shown, f"writes a protected place ({rule})")

    def place(self, text: str) -> str | None:
        """Root-relative, links resolved as they are now; None when it lies outside or cannot be told."""
        if text.startswith("~") or (self.moved and ".." in Path(text).parts):
            return None
        real = Path(os.path.realpath(self.cwd / text))
        if not real.is_relative_to(self.judge.root):
            return None
        return real.relative_to(self.judge.root).as_posix()

    def _script_file(self, name: str, rest: list[Word], call: Call, shown: str, depth: int) -> bool:
        """Judge a shell's own script; whether a file is left that must be judged as a program's argument."""
        words = list(rest)
        while words:
            word = words.pop(0)
            if word.text is None:
                self.add("ask", shown, f"what {name} runs, only the shell knows")
                return False
            if re.fullmatch(r"-[a-z]*c[a-z]*", word.text):
                script = words.pop(0) if words else Word(raw="", text="")
                if script.text is None:
                    self.add("ask", shown, f"what {name} runs, only the shell knows")
                else:
                    self.script(script.text, depth + 1)
                    self.add("allow", shown, f"{name} -c is judged by what it runs")
                return False
            if word.text in ("-o", "-O", "+O", "+o") and words:
                words.pop(0)
            elif not word.text.startswith(("-", "+")):
                return True
            elif not re.fullmatch(
                r"-[abefhklmnptuvxBCEHPTilr]+|--(login|norc|noprofile|posix|restricted|verbose)|-", word.text
            ):
                self.add("ask", shown, f"an option of {name} that is not known here: {word.raw}")
                return False
        if call.stdin is not None:
            self.script(call.stdin, depth + 1)
            self.add("allow", shown, f"{name} is judged by the text it reads")
        else:
            self.add("ask", shown, f"{name} runs whatever it reads")
        return False

    def _evaluated(self, name: str, args: list[str | None], shown: str, depth: int) -> None:
        used = args if name == "eval" else [arg for arg in args if arg not in ("--", "-")][:1]
        if any(arg is None for arg in used):
            return self.add("ask", shown, f"what {name} runs, only the shell knows")
        self.script(" ".join(arg or "" for arg in used), depth + 1)
        self.add("allow", shown, f"{name} is judged by what it runs")

    def _python_module(self, name: str, args: list[str | None]) -> str | None:
        """python -m pytest is pytest; None when the module is no tool with rules of its own."""
        if not re.fullmatch(r"python[\d.]*|py", name) or "-m" not in args[:-1]:
            return None
        before, module = args[: args.index("-m")], args[args.index("-m") + 1]
        plain = all(arg is not None and re.fullmatch(r"-[BEIOPsSuvW\d]+", arg) for arg in before)
        listed = (
            module in ("pip", "coverage", "uv")
            or module in self.policy.deny | self.policy.ask | self.policy.allow
        )
        return module if plain and listed else None

    def _find_runs(self, rest: list[Word], script: Script, depth: int) -> list[Word]:
        """Judge what find starts; its own words without that."""
        words, own = list(rest), list[Word]()
        while words:
            own.append(words.pop(0))
            if own[-1].text in ("-exec", "-execdir", "-ok", "-okdir"):
                own.pop()
                inner: list[Word] = []
                while words and (word := words.pop(0)).text not in (";", "+"):
                    inner.append(Word(raw=word.raw, text=None, names=("{}",)) if word.text == "{}" else word)
                found = Script(tame={"{}"} | script.tame, functions=script.functions)
                self.call(Call(words=tuple(inner)), found, depth + 1)
        return own

    def _unwrapped(self, name: str, wrapper: programs.Wrapper, rest: list[Word], shown: str) -> list[Word]:
        """The words of the command a wrapper starts; empty when it starts none. Unknown options stay in front."""
        words, skip = list(rest), wrapper.skip
        while words:
            text = words[0].text
            if text is None:
                return words
            if text == "--":
                words.pop(0)
                break
            if text.startswith("--"):
                option, has_value, _ = text[2:].partition("=")
                if option not in wrapper.long:
                    return words
                words.pop(0)
                if not has_value and option in (
                    "signal",
                    "kill-after",
                    "unset",
                    "max-args",
                    "max-procs",
                    "delimiter",
                ):
                    words[:1] = []
            elif text.startswith("-") and len(text) > 1:
                if name == "command" and text in ("-v", "-V"):
                    return []
                taken = _short(text[1:], wrapper)
                if taken is None:
                    return words
                words.pop(0)
                if taken:
                    words[:1] = []
            elif wrapper.assigns and (found := re.match(r"(\w+)=", text)):
                self.risky |= bool(programs.RISKY_VARIABLES.fullmatch(found[1]))
                words.pop(0)
            elif skip:
                skip -= 1
                words.pop(0)
            else:
                break
        if words and wrapper.feeds:
            words.append(Word(raw="what xargs reads", text=None, names=("fed",)))  # a sandbox tames it
        return words

    def _runner(self, name: str, rest: list[Word], script: Script, depth: int) -> None:
        texts = [word.text for word in rest]
        for runner in programs.RUNNERS:
            program, *sub = runner.split()
            if name == program and texts[: len(sub)] == sub:
                inner = rest[len(sub) :]
                if inner and not (inner[0].text or "").startswith("-"):
                    self.call(Call(words=tuple(inner)), script, depth + 1)


def _short(letters: str, wrapper: programs.Wrapper) -> bool | None:
    """Whether these short options want the next word as a value; None when one is unknown."""
    for place, letter in enumerate(letters):
        if letter in wrapper.valued:
            return place == len(letters) - 1
        if letter not in wrapper.plain:
            return None
    return False


def _candidates(name: str, args: list[str | None]) -> list[str]:
    """The names a rule may use for this call, the most precise first."""
    names = list(dict.fromkeys([name, re.sub(r"(?<=[a-z])[\d.]+$", "", name)]))
    words: list[str] = []
    for arg in args[:2]:
        if arg is None:
            break
        words.append(arg)
    prefixes = [" ".join(words[:count]) for count in range(len(words), 0, -1)]
    if name == "git":
        sub, own = programs.git_subcommand(args)
        prefixes = [f"{sub} {own[0]}" if own and own[0] else "", sub or "", *prefixes]
    else:
        sub = next((arg for arg in args if arg is None or not arg.startswith(("-", "+"))), None)
        prefixes.append(sub or "")
    return [*(f"{each} {prefix}" for prefix in dict.fromkeys(prefixes) if prefix for each in names), *names]


def _matches(rules: frozenset[str], candidates: list[str]) -> bool:
    return any(candidate in rules for candidate in candidates)
