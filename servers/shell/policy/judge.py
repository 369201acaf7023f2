"""May this command run: allow, ask or deny, decided on a real parse, the worst of all it contains.

The policy decides only when to ask. What can happen is decided by the sandbox.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...output import one_line, visible
from ..sandbox.sandbox import Level
from . import programs
from .bash_parser import MAX_BYTES, MAX_COMMANDS, Call, Script, parse
from .git_args import git_places
from .path_access import ONLY_SHELL, Reach
from .rules import LOOPBACK, LOOPBACK_CLIENTS, NETWORK, ORDER, Effect, Policy, candidates
from .words import Word, spellings
from .wrappers import feeding, find_runs, known, module_run, operands, runner_words, shell_run, unwrapped

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
        case = _Case(self, cwd or self.root, env or {})
        case.script(command, 0)
        return case.decision()

    def argv(
        self, argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Decision:
        """Decide on a program and its arguments, which no shell will read."""
        case = _Case(self, cwd or self.root, env or {})
        case.characters("".join(argv))
        words = tuple(Word(raw=shlex.quote(arg), text=arg) for arg in argv)
        case.call(Call(words=words), Script(), 0)
        return case.decision()


class _Case:
    """One decision being made."""

    def __init__(self, judge: Judge, cwd: Path, env: Mapping[str, str]) -> None:
        self.judge, self.policy, self.env = judge, judge.policy, env
        self.contained = judge.level != "none"
        self.reach = Reach(root=judge.root, cwd=cwd, moved=False)
        self.findings: list[Finding] = []
        self.network = self.background = self.risky = False
        self.commands = 0
        self.environment(env)
        if "PATH" in env:
            self.add("ask", "PATH", "PATH decides which programs are meant")

    def decision(self) -> Decision:
        if not self.findings:
            self.add("allow", "", "nothing to run")
        effect = max(self.findings, key=lambda finding: ORDER.index(finding.effect)).effect
        return Decision(
            effect=effect, findings=tuple(self.findings), network=self.network, background=self.background
        )

    def add(self, effect: Effect, part: str, rule: str) -> None:
        self.findings.append(Finding(effect=effect, part=one_line(part)[:200], rule=one_line(rule)))

    def characters(self, text: str) -> None:
        if "\0" in text:
            self.add("deny", text[:40], "a NUL character, which no command can hold")
        elif text != visible(text):
            self.add("ask", text[:80], "control or invisible characters")

    def environment(self, names: Mapping[str, str] | Sequence[str]) -> None:
        """Note variables that decide which code runs; those of the shell itself ask at once."""
        for name in names:
            self.risky |= bool(programs.RISKY_VARIABLES.fullmatch(name))
            if programs.SHELL_VARIABLES.fullmatch(name):
                self.add("ask", name, f"{name} decides what the shell runs")

    def script(self, text: str, depth: int) -> None:
        """Judge everything in a shell text."""
        self.characters(text)
        if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            return self.add("deny", text[:40], f"longer than {MAX_BYTES >> 10} KiB; put it in a script file")
        try:
            script = parse(text)
        except TimeoutError as exc:
            return self.add("deny", text[:40], f"{exc}; put it in a script file")
        self.commands += len(script.calls)
        if self.commands > MAX_COMMANDS:
            return self.add(
                "deny", text[:40], f"more than {MAX_COMMANDS} commands; put them in a script file"
            )
        self.background |= script.background
        for trouble in script.trouble:
            self.add("ask", text[:80], trouble)
        self.environment(sorted(script.assigned))
        programs_named = {call.words[0].text for call in script.calls if call.words}
        if programs_named & {"cd", "pushd", "popd"}:
            self.reach = replace(self.reach, moved=True)
        for call in script.calls:
            self._set_by(call, script)
        self._settle(script, text)
        for word in script.writes:
            if why := self.reach.writing(word, script.values):
                self.add("ask", f"> {word.raw}", why)
        for word in script.reads:
            if why := self.reach.reading(word, script.values):
                self.add("ask", f"< {word.raw}", why)
        for call in script.calls:
            self.call(call, script, depth)

    def _settle(self, script: Script, text: str) -> None:
        """Forget what variables can hold where something else may have set them, or not yet."""
        for name in {*self.env, *os.environ}:
            script.values.pop(name, None)
        if self.contained:
            return
        script.values = {name: known | {""} for name, known in script.values.items()}
        texts = [*self.env.values(), *(value for known in script.values.values() for value in known)]
        given = any(re.search(r"[$`*?]", text) for text in texts)
        if script.arithmetic and (script.unseen or given):
            self.add(
                "ask",
                text[:80],
                "an expression with a variable that only the shell knows: its text could be run",
            )

    def call(self, call: Call, script: Script, depth: int) -> None:
        """Judge one simple command and whatever it starts. What is assigned in front of it holds for these alone."""
        if call.words:
            risky = self.risky
            self._call(call, script, depth)
            self.risky = risky

    def _call(self, call: Call, script: Script, depth: int) -> None:
        shown = " ".join(word.raw for word in call.words)
        first, *rest = (call.words[0], *(known(word, script) for word in call.words[1:]))
        self.environment(call.assigned)
        if depth > _MAX_DEPTH:
            return self.add("ask", shown, "commands within commands, deeper than can be followed")
        if first.text is None or first.glob:
            return self.add("ask", shown, f"which program this is, {ONLY_SHELL}")
        if first.odd:
            self.add("ask", shown, "a program's name spelled with escapes")
        name, trouble = self._identified(first.text)
        if trouble:
            self.add("ask", shown, trouble)
        if first.text in script.functions and self._unknown(first.text):
            return  # its body has been judged
        if name in programs.SHELLS and not self._shell(name, rest, call, shown, depth):
            return
        if name in ("eval", "trap"):
            return self._evaluated(name, rest, shown, depth)
        name, rest = module_run(name, rest, {*self.policy.deny, *self.policy.ask, *self.policy.allow})
        if name == "find":
            rest, started = find_runs(rest)
            for words in started:
                self.call(Call(words=tuple(words)), feeding(script, fed=True), depth + 1)
        if self._wrapper(name, rest, call, script, shown, depth):
            return
        self._runner(name, rest, script, shown, depth)
        effect, rule = self._ruled(name, rest, first.text)
        own = self._asks_own_loopback(name, rest)
        if own and effect == "ask" and rule == "default":
            effect, rule = "allow", f"{name} of this session's own servers"
        elif effect == "allow":
            effect, rule = self._limited(name, rest, script, rule)
        self.network |= not own and any(
            candidate in NETWORK for candidate in candidates(name, [word.text for word in rest])
        )
        self.add(effect, shown, rule)

    def _asks_own_loopback(self, name: str, rest: Sequence[Word]) -> bool:
        """Whether a client of the network is only meant for servers that the session has started: with the network on,
        it would not find them. Whatever else its words may name is out of its reach in the sandbox."""
        if (
            not self.contained
            or self.policy.network
            or not self.policy.contained
            or name not in LOOPBACK_CLIENTS
        ):
            return False
        words = [word.raw.strip("'\"") for word in rest]
        elsewhere = any("://" in word and not LOOPBACK.match(word) for word in words)
        return not elsewhere and any(map(LOOPBACK.match, words))

    def _identified(self, text: str) -> tuple[str, str | None]:
        """The program's plain name; one inside the workspace is `./`, whatever it is called."""
        if text.startswith("~"):
            return text, "a program outside the workspace and the system's folders"
        if "/" not in text:
            where = None if text in programs.BUILTINS else shutil.which(text, path=self.judge.path)
            if where and Path(where).resolve().is_relative_to(self.judge.root):
                return (text if text in self.policy.contained else "./"), None
            return text, None
        place = os.path.normpath(self.reach.cwd / text)
        name = os.path.basename(place)
        if os.path.dirname(place) in _SYSTEM_FOLDERS:
            return name, None
        if name in self.policy.deny:
            return name, None
        if self.reach.place(text) is not None or (
            Path(place).is_relative_to(self.judge.root) and ".." not in text
        ):
            return "./", None  # a venv's python is a link that leads out, but the workspace chose it
        return text, "a program outside the workspace and the system's folders"

    def _unknown(self, name: str) -> bool:
        """Whether nothing but a function can be meant: a function may be defined too late, or in a subshell."""
        policy = self.policy
        ruled = any(name in rules for rules in (policy.allow, policy.contained, policy.ask, policy.deny))
        return (
            not ruled and name not in programs.WRAPPERS and shutil.which(name, path=self.judge.path) is None
        )

    def _ruled(self, name: str, rest: Sequence[Word], spelled: str) -> tuple[Effect, str]:
        """What the policy's lists say: deny wins, then the rule with the most words."""
        found = candidates(name, [word.text for word in rest])
        if "/" in spelled:
            found.insert(0, spelled)
        for candidate in [*found, name.partition(".")[0]]:  # mkfs.ext4 is mkfs
            if candidate in self.policy.deny:
                return "deny", f"deny {candidate!r}"
        for candidate in found:
            if candidate in self.policy.ask:
                return "ask", f"ask {candidate!r}"
            if candidate in self.policy.allow:
                return "allow", f"allow {candidate!r}"
            if candidate in self.policy.contained:
                if self.judge.level == "none":
                    return "ask", f"{candidate!r} is allowed only inside a sandbox, and there is none"
                return "allow", f"contained {candidate!r}"
        return self.policy.default, "default"

    def _limited(self, name: str, rest: Sequence[Word], script: Script, rule: str) -> tuple[Effect, str]:
        """What takes an allowed program beyond what its name says."""
        contained = rule.startswith("contained")
        args = [self._seen(word, script) for word in rest]
        trouble = programs.flag_trouble(name, args)
        if trouble and not (contained and name.endswith("awk")):
            return "ask", f"{name} with {trouble[:80]}"
        if programs.runs_code(name, args):
            if name in programs.STRANGE_SHELLS:
                return "ask", f"{name} has a grammar that is not read here"
            if self.judge.level == "none":
                return "ask", f"{name} runs a program from its arguments, and there is no sandbox"
        if self.risky and not contained and name not in programs.BUILTINS:
            return "ask", "a variable is set that decides which code programs run"
        if name in ("cd", "pushd") and (not rest or rest[0].text == "-"):
            return "ask", f"{name} to the home or an earlier folder"
        why = next(filter(None, self._places(name, rest, script)), None)
        return ("ask", why) if why else ("allow", rule)

    def _places(self, name: str, rest: Sequence[Word], script: Script) -> Iterator[str | None]:
        """What its operands have against it, one after the other."""
        if name in programs.READERS and name != "tr":
            for word in operands(name, rest):
                yield self.reach.reading(word, script.values)
        elif name in programs.WRITERS:
            for word in operands(name, rest):
                yield self.reach.writing(word, script.values)
        elif name == "git":
            for text in git_places([word.text for word in rest]):
                yield self.reach.reading(Word(raw=text, text=text), script.values)
        elif name in ("source", ".", *programs.SHELLS):
            yield from (
                f"what {name} runs comes from where nobody has read it"
                for word in rest
                if word.text is None or word.text.startswith(("/dev/", "/proc/"))
            )

    def _seen(self, word: Word, script: Script) -> str | None:
        """The word as options are looked for in it: one of several stands for all, when none is an option."""
        texts = [one.text or "" for one in spellings(word, script.values)]
        if not texts or any(text.startswith("-") for text in texts) and len(texts) > 1:
            return None
        if (
            not self.contained
            and any(text[:1] in ("*", "?", "[") for text in texts)
            and any(one.glob for one in spellings(word, script.values))
        ):
            return None  # can be a file named like an option
        return texts[0]

    def _set_by(self, call: Call, script: Script) -> None:
        """Variables that a builtin sets by name."""
        name = call.words[0].text if call.words else None
        words = call.words[1:]
        if name == "printf":
            words = words[:2] if words and (words[0].text or "").startswith("-v") else ()
        if name == "test" and {"-v", "-R"} & {word.text for word in words}:
            self.add("ask", " ".join(word.raw for word in call.words), "test -v evaluates what it is given")
        if name not in programs.SETTERS:
            return
        for word in words:
            if word.text is None:
                self.add("ask", word.raw, f"which variable {name} sets, {ONLY_SHELL}")
                continue
            if name in programs.DECLARERS and re.match(r"[-+]\w*n", word.text):
                self.add("ask", word.raw, f"{name} gives a variable a second name")
            for found in re.findall(r"^(?:-\w*?[av])?(\w+)", word.text):
                self.environment([found])
                script.values.pop(found, None)
            script.unseen = True

    def _shell(self, name: str, rest: Sequence[Word], call: Call, shown: str, depth: int) -> bool:
        """Judge what a shell runs; whether that is a file, which is judged like any program's argument."""
        run = shell_run(rest)
        if run.kind == "file":
            return True
        effect, rule = self._ruled(name, rest, name)
        text = call.stdin if run.kind == "stdin" else run.text
        if run.kind == "unknown" or text is None:
            self.add(
                "ask",
                shown,
                f"what {name} runs, {ONLY_SHELL if run.kind == 'unknown' else 'it has yet to read'}",
            )
        else:
            self.script(text, depth + 1)
            explicit = rule != "default" and effect != "allow"
            self.add(
                effect if explicit else "allow",
                shown,
                rule if explicit else f"{name} is judged by what it runs",
            )
        return False

    def _evaluated(self, name: str, rest: Sequence[Word], shown: str, depth: int) -> None:
        used = [word for word in rest if word.text not in ("--", "-")]
        used = used if name == "eval" else used[:1]
        if any(word.text is None for word in used):
            return self.add("ask", shown, f"what {name} runs, {ONLY_SHELL}")
        before, self.risky = self.risky, False
        self.script(" ".join(word.text or "" for word in used), depth + 1)
        if self.risky and not before:
            self.add("ask", shown, "a variable is set that decides which code programs run")
        self.add("allow", shown, f"{name} is judged by what it runs")

    def _wrapper(
        self, name: str, rest: Sequence[Word], call: Call, script: Script, shown: str, depth: int
    ) -> bool:
        """Judge what a wrapper starts; whether the wrapper itself needs no judging beyond the policy's own rules."""
        inner = unwrapped(name, rest)
        if inner is None:
            return False
        if inner.trouble:
            self.add("ask", shown, inner.trouble)
        self.environment(inner.assigned)
        if inner.words:
            nested = Call(words=inner.words, stdin=call.stdin, piped=call.piped)
            self.call(nested, feeding(script, fed=self.contained), depth + 1)
        effect, rule = self._ruled(name, rest, name)
        harmless = name in programs.TRANSPARENT and (inner.words or inner.trouble or name != "xargs")
        if rule == "default" and harmless:
            effect, rule = "allow", f"{name} only starts another command"
        self.add(effect, shown, rule)
        return True

    def _runner(self, name: str, rest: Sequence[Word], script: Script, shown: str, depth: int) -> None:
        """Judge what a project's runner starts as well."""
        inner = runner_words(name, rest)
        if inner and (inner[0].text or "").startswith("-"):
            self.add("ask", shown, f"{name} with an option not known here: {inner[0].text}")
        elif inner:
            self.call(Call(words=tuple(inner)), script, depth + 1)
