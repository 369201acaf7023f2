"""The commands in a shell text, wherever they hide: a real parse by tree-sitter-bash, quotes resolved.

Nothing here judges. What cannot be known before the shell runs (expansions, globs, braces in a place
that matters) is marked as unknown, and what the parser does not understand is reported as trouble.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from ..grammars import plain_for_bash

MAX_BYTES = 64 << 10
MAX_COMMANDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a command. `text` is what the program will see, None when only the shell knows."""

    raw: str
    text: str | None
    glob: bool = False  # `text` is then the pattern
    odd: bool = False  # spelled in a way people do not: $'...' or a quoted part inside a name
    names: tuple[str, ...] = ()  # the plain variables it is made of; empty when anything else is in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One simple command: `words` is its program and arguments."""

    words: tuple[Word, ...]
    assigned: tuple[str, ...] = ()  # NAME=... in front of it
    stdin: str | None = None  # a here-document or here-string, when it is static
    piped: bool = False  # its stdin is another text nobody has seen


@dataclass(slots=True, kw_only=True)
class Script:
    """Everything in one shell text that the shell would act on."""

    calls: list[Call] = field(default_factory=list)
    writes: list[Word] = field(default_factory=list)  # redirection targets
    reads: list[Word] = field(default_factory=list)
    assigned: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    tame: set[str] = field(default_factory=set)  # variables that can only hold plain relative names
    trouble: list[str] = field(default_factory=list)
    arithmetic: bool = False  # evaluates expressions, in which a variable's text can be a command
    dollars: bool = False  # some literal text looks like an expansion
    background: bool = False


def parse(text: str) -> Script:
    """All commands of `text`, at any depth. Trouble says what could not be understood."""
    source = text.encode("utf-8", "surrogatepass")
    script = Script()
    if re.search(r"[^\s\\](?:\\\\)*\\\n(?=\S)", text):
        script.trouble.append("a word broken over two lines")
    if re.search(r"\[\s*(?:\$\(|`)", text):
        script.trouble.append("a substitution inside a subscript, which arithmetic would run")
    # A parser of its own for every text: calls come from several threads.
    _Walk(source, script).visit(Parser(_language()).parse(plain_for_bash(source)).root_node)
    if script.arithmetic and script.dollars:
        script.trouble.append("an expression beside text that looks like an expansion: it could be run")
    return script


@cache
def _language() -> Language:
    return Language(tree_sitter_bash.language())


_EXPANDED = frozenset(
    {"word", "string_content", "heredoc_content", "regex", "extglob_pattern", "variable_name", "number"}
)
_ONE_WORD = frozenset({"word", "extglob_pattern", "variable_name", "number", "test_operator"})
_UNSEEN = re.compile(r"(?<!\\)(?:\\\\)*(?:`|\$[({])")
"""A substitution in text that the parser took for plain: unescaped, in places where bash expands."""
_KEYWORD = re.compile(r"[a-z]+|[!{\[]|\[\[")
_BEFORE_COMMENT = (b"", b" ", b"\t", b"\n", b";", b"&", b"|", b"(", b")", b"<", b">")
_BLANK = re.compile(rb"(?:[ \t\n]|\\\n)*")
_BLANK_ON_LINE = re.compile(rb"(?:[ \t]|\\\n)*")
_ONE_LINE = frozenset(
    {
        "command", "declaration_command", "unset_command", "redirected_statement", "file_redirect",
        "herestring_redirect", "variable_assignments", "negated_command", "command_name",
    }
)  # fmt: skip
"""What a newline ends, unless a backslash stands before it."""


class _Walk:
    def __init__(self, source: bytes, script: Script) -> None:
        self.source, self.script = source, script
        self.assignments: list[tuple[str, Word | None]] = []

    def visit(self, root: Node) -> None:
        stack: list[tuple[Node, bool, str | None]] = [(root, False, None)]
        while stack:
            node, piped, stdin = stack.pop()
            if node.is_error or node.is_missing:
                self._misread(node)
            elif node.type not in ("string", "heredoc_body", "heredoc_redirect"):
                self._check_gaps(node)
            if not node.children and node.type in _EXPANDED and _UNSEEN.search(self.of(node)):
                self._misread(node)
            if (
                not node.children
                and node.type in _ONE_WORD
                and re.search(r"(?<!\\)(?:\\\\)*[\s;&|<>()]", self.of(node))
            ):
                self._misread(node)
            piped, stdin = self._look(node, piped, stdin)
            children = node.children
            for place, child in enumerate(children):
                inner = piped or (node.type == "pipeline" and place > 0)
                stack.append(
                    (child, inner, stdin if child.type in ("command", "redirected_statement") else None)
                )
        self._settle()

    def _look(self, node: Node, piped: bool, stdin: str | None) -> tuple[bool, str | None]:
        script = self.script
        match node.type:
            case "command":
                if len(script.calls) <= MAX_COMMANDS:
                    script.calls.append(self._call(node, piped, stdin))
            case "declaration_command":
                words = tuple(
                    self.word(child) for child in node.named_children if child.type != "variable_assignment"
                )
                keyword = Word(raw=self.of(node.children[0]), text=self.of(node.children[0]))
                script.calls.append(Call(words=(keyword, *words)))
            case "variable_assignment":
                if not re.match(r"[A-Za-z_]\w*(?:\[|\+?=)", self.of(node)):
                    self._misread(node)
                if (
                    node.parent is None or node.parent.type != "command"
                ):  # there it holds for that command alone
                    self._assign(node)
            case "for_statement":
                name = node.child_by_field_name("variable")
                listed = node.children_by_field_name("value")
                if listed and re.search(rb"(?<!\\)\n", self.source[node.start_byte : listed[-1].end_byte]):
                    self._misread(node)  # a newline ends the list
                values = [self.word(child) for child in listed]
                for value in values or [None]:
                    self.assignments.append((self.of(name), value))
            case "function_definition":
                script.functions.add(self.of(node.child_by_field_name("name")))
            case "file_redirect":
                self._redirect(node)
            case "redirected_statement":
                for child in node.children:
                    if child.type == "heredoc_redirect":
                        stdin = self._heredoc(child)
            case "expansion":
                if re.search(r"@[PE]\}$|^\$\{!", self.of(node)):
                    script.trouble.append(f"an expansion that is expanded again: {self.of(node)}")
            case "test_command" if not self.of(node).startswith("[[") and re.search(
                r"[;&|<>()\n]", self._bare(node)
            ):
                self._misread(node)  # `[` is a command like any other: these end it, or redirect it
            case "compound_statement" | "test_command" if re.match(
                r"(\{|\[\[?(?!\[))\S|\[\[\[", self.of(node)
            ):
                self._misread(node)  # to bash a word that begins with a brace or a bracket
            case "&":
                script.background = True
            case "arithmetic_expansion" | "subscript" | "((" | "c_style_for_statement" | "test_operator":
                script.arithmetic = True
            case _:
                pass
        return piped, stdin

    def _check_gaps(self, node: Node) -> None:
        """The parser leaves out what it makes nothing of, such as a lone `$` or an escaped space; bash does not."""
        whole = node.type in ("concatenation", "command_name")
        end, before = 0 if node.parent is None else node.start_byte, False
        for child in node.children:
            gap = self.source[end : child.start_byte]
            joined = (
                not gap and end > node.start_byte and node.type == "command" and "redirect" not in child.type
            )
            glued = (
                child.type == "comment"
                and not gap
                and self.source[max(end - 1, 0) : end] not in _BEFORE_COMMENT
            )
            apart = gap and (whole or node.type in ("simple_expansion", "variable_assignment"))
            if before and not gap and self.source[end : end + 1] not in _BEFORE_COMMENT:
                return self._misread(node)  # a keyword that runs on is a word
            before = (
                not child.is_named and node.type != "subscript" and bool(_KEYWORD.fullmatch(self.of(child)))
            )
            blank = _BLANK if node.type not in _ONE_LINE else _BLANK_ON_LINE
            if not blank.fullmatch(gap) or joined or glued or apart or (whole and not child.is_named):
                return self._misread(node)
            end = child.end_byte
        if node.children and not _BLANK.fullmatch(self.source[end : node.end_byte]):
            self._misread(node)

    def _bare(self, node: Node) -> str:
        """The text of a node without what is quoted or expanded in it."""
        if node.type in ("string", "raw_string", "ansi_c_string", "command_substitution", "expansion"):
            return ""
        if not node.children:
            return re.sub(r"\\.", "", self.of(node), flags=re.DOTALL)
        parts, end = list[str](), node.start_byte
        for child in node.children:
            parts += [self.source[end : child.start_byte].decode("utf-8", "replace"), self._bare(child)]
            end = child.end_byte
        return "".join(parts).replace("\\\n", "")

    def _misread(self, node: Node) -> None:
        self.script.trouble.append(f"a part that does not parse: {self.of(node)[:40]!r}")

    def _call(self, node: Node, piped: bool, stdin: str | None) -> Call:
        words: list[Word] = []
        assigned: list[str] = []
        for child in node.children:
            match child.type:
                case "variable_assignment":
                    assigned.append(self.of(child.child_by_field_name("name")))
                case "herestring_redirect":
                    word = self.word(child.named_children[-1])
                    stdin, piped = word.text, word.text is None
                case "file_redirect" | "heredoc_redirect" | "comment":
                    pass
                case _:
                    words.append(
                        self.word(child.named_children[0] if child.type == "command_name" else child)
                    )
        return Call(words=tuple(words), assigned=tuple(assigned), stdin=stdin, piped=piped)

    def _assign(self, node: Node) -> None:
        name = self.of(node.child_by_field_name("name"))
        value = node.child_by_field_name("value")
        self.assignments.append((name, self.word(value) if value else Word(raw="", text="")))

    def _redirect(self, node: Node) -> None:
        signs = "".join(self.of(child) for child in node.children if not child.is_named)
        targets = [self.word(child) for child in node.named_children if child.type != "file_descriptor"]
        for word in targets:
            if "&" in signs and word.text is not None and re.fullmatch(r"\d+-?|-", word.text):
                continue  # 2>&1
            (self.script.writes if ">" in signs else self.script.reads).append(word)

    def _heredoc(self, node: Node) -> str | None:
        """The text of a here-document, None when bash will expand something in it."""
        parts = {child.type: child for child in node.children}
        start, body, end = (parts.get(f"heredoc_{name}") for name in ("start", "body", "end"))
        mark, text = self.of(start), self.of(body)
        quoted = any(quote in mark for quote in "'\"\\")
        if self.of(end).strip("\t") != re.sub(r"['\"\\]", "", mark):
            self._misread(node)
        if not quoted and body and not body.children and _UNSEEN.search(text):
            self._misread(node)
        if not quoted and "`" in text:  # the grammar does not look into these
            self.script.trouble.append("a backquote in a here-document")
        return text if quoted or not re.search(r"[$`\\]", text) else None

    def _settle(self) -> None:
        """Variables are tame when every value they ever get is: a plain relative name, a glob of such, another tame one."""
        self.script.assigned |= {name.partition("[")[0] for name, _ in self.assignments}
        wild = {name for name, word in self.assignments if word is None}
        for _ in range(len(self.assignments)):
            tame = self.script.assigned - wild
            more = {name for name, word in self.assignments if word and not _tame(word, tame)} - wild
            if not more:
                break
            wild |= more
        self.script.tame = self.script.assigned - wild

    def word(self, node: Node) -> Word:
        word = self._word(node)
        self.script.dollars |= word.text is not None and bool(re.search(r"[$`]", word.text))
        return word

    def _word(self, node: Node) -> Word:
        raw = self.of(node)
        match node.type:
            case "word" | "number" | "variable_name" | "extglob_pattern" | "regex":
                return _plain(raw)
            case "raw_string":
                return Word(raw=raw, text=raw[1:-1])
            case "ansi_c_string":
                return Word(raw=raw, text=_ansi(raw[2:-1]), odd=True)
            case "string":
                inner = [child for child in node.named_children if child.type != "string_content"]
                if inner:
                    return Word(raw=raw, text=None, names=self._names(inner) if _alone(node) else ())
                return Word(raw=raw, text=re.sub(r"\\([$`\"\\\n])", lambda m: m[1].strip("\n"), raw[1:-1]))
            case "simple_expansion" | "expansion":
                return Word(raw=raw, text=None, names=self._names([node]))
            case "process_substitution":
                return Word(raw=raw, text="/dev/fd/63")  # what it runs is judged where it stands
            case "concatenation":
                return self._joined(raw, [self.word(child) for child in node.named_children])
            case _:
                return Word(raw=raw, text=None)

    def _joined(self, raw: str, parts: list[Word]) -> Word:
        if any(part.text is None for part in parts):
            known = all(part.text is not None or part.names for part in parts)
            names = tuple(name for part in parts for name in part.names)
            lead = parts[0].text
            tame = known and not (lead is not None and lead.startswith(("/", "~"))) and ".." not in raw
            return Word(raw=raw, text=None, names=names if tame else ())
        text = "".join(part.text or "" for part in parts)
        brace = re.search(r"\{[^{}]*(?:,|\.\.)[^{}]*\}", raw)
        return Word(
            raw=raw,
            text=None if brace else text,
            glob=any(part.glob for part in parts),
            odd=any(part.odd for part in parts),
        )

    def _names(self, nodes: list[Node]) -> tuple[str, ...]:
        names: list[str] = []
        for node in nodes:
            found = re.fullmatch(r"\$\{?([A-Za-z_]\w*)\}?", self.of(node))
            if not found:
                return ()
            names.append(found[1])
        return tuple(names)

    def of(self, node: Node | None) -> str:
        return "" if node is None else self.source[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _plain(raw: str) -> Word:
    """An unquoted word: backslashes resolved, globs and braces seen."""
    bare = re.sub(r"\\.", "", raw, flags=re.DOTALL)
    if re.search(r"\{[^{}]*(?:,|\.\.)[^{}]*\}", bare) or re.match(r"~[^/]", bare):
        return Word(raw=raw, text=None)
    return Word(
        raw=raw, text=re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL), glob=bool(re.search(r"[*?\[]", bare))
    )


def _alone(node: Node) -> bool:
    """Whether a double-quoted string is nothing but one expansion."""
    return len(node.named_children) == 1


def _tame(word: Word, tame: set[str]) -> bool:
    if word.text is None:
        return bool(word.names) and set(word.names) <= tame
    return not word.text.startswith(("-", "/", "~")) and ".." not in word.text


_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "E": "\x1b",
}


def _ansi(body: str) -> str:
    """The text of $'...' (bash(1), QUOTING)."""

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) > 1 and code[0] in "xuU":
            return chr(min(int(code[1:], 16), 0x10FFFF))
        if code[0] in "01234567":
            return chr(int(code, 8) & 0xFF)
        return _ESCAPES.get(code, code if code in "\\'\"?" else match[0])

    return re.sub(
        r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|.)", one, body, flags=re.DOTALL
    )
