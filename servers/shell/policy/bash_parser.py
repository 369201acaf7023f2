"""The commands in a shell text, wherever they hide: a real parse by tree-sitter-bash, quotes resolved.

Nothing here judges. What cannot be known before the shell runs (expansions, globs, braces in a place
that matters) is marked as unknown, and what the parser does not understand is reported as trouble.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import cache

import tree_sitter_bash
from tree_sitter import Language, Node, Parser, Point, Tree

from ...source.grammars import plain_for_bash
from .words import BRACE, Variable, Word, all_known, ansi, plain

MAX_BYTES = 64 << 10
MAX_COMMANDS = 100
MAX_PARSE_S = 0.5


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
    values: dict[str, frozenset[str]] = field(
        default_factory=dict
    )  # of variables all of whose values are known
    trouble: list[str] = field(default_factory=list)
    arithmetic: bool = False  # evaluates expressions, in which a variable's text can be a command
    unseen: bool = False  # some variable's value is known only to the shell
    dollars: bool = False  # some literal text looks like an expansion
    background: bool = False


def parse(text: str) -> Script:
    """All commands of `text`, at any depth. Trouble says what could not be understood. TimeoutError when it is given up."""
    source = text.encode("utf-8", "surrogatepass")
    script = Script()
    if re.search(r"[^\s\\](?:\\\\)*\\\n(?=\S)", text):
        script.trouble.append("a word broken over two lines")
    if re.search(r"\[\s*(?:\$\(|`)", text):
        script.trouble.append("a substitution inside a subscript, which arithmetic would run")
    if re.search(r"\{\w+\}[<>]", text):
        script.trouble.append("a redirection that sets a variable")
    _Walk(source, script).visit(_tree(_palatable(source)).root_node)
    if script.arithmetic and script.dollars:
        script.trouble.append("an expression beside text that looks like an expansion: it could be run")
    return script


def _tree(source: bytes) -> Tree:
    """Within MAX_PARSE_S: time and memory can grow with the square of the text."""
    began = time.monotonic()
    parser = Parser(_language())  # one for every text: calls come from several threads

    def rest(at: int, _point: Point) -> bytes:
        return source[at : at + MAX_BYTES]

    def late(*_: object) -> bool:
        return time.monotonic() - began > MAX_PARSE_S

    try:
        return parser.parse(rest, progress_callback=late)
    except ValueError:  # stopped
        raise TimeoutError(f"takes longer than {MAX_PARSE_S} s to read") from None


def _palatable(source: bytes) -> bytes:
    """The text as the grammar can take it, as long as before: it loses a lone `-` before a here-document."""
    return re.sub(rb"(?<=[ \t])-(?=[ \t]*<<)", b"%", plain_for_bash(source))


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
_ASSIGNED_NUMBER = r"([A-Za-z_]\w*)\s*(?:[-+*/%&|^]|<<|>>)?=(?!=)"
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
            case "declaration_command" | "unset_command":
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
                if found := re.match(r"\$\{(\w+):?=", self.of(node)):
                    self.assignments.append((found[1], None))
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
                around = node if node.is_named or node.parent is None else node.parent
                script.assigned.update(re.findall(_ASSIGNED_NUMBER, self.of(around)))
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
        word = self.word(value) if value else Word(raw="", text="")
        grows = any(self.of(child) == "+=" for child in node.children)
        self.assignments.append((name, None if grows else word))

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
        """Find the variables all of whose values can be told: literal texts, or made of others that can."""
        given: dict[str, list[Word | None]] = {}
        for name, word in self.assignments:
            given.setdefault(name.partition("[")[0], []).append(word)
        self.script.assigned |= given.keys()
        values = self.script.values
        for _ in given:
            for name, words in given.items():
                if name not in values and (known := all_known(words, values)):
                    values[name] = known
        self.script.unseen = values.keys() != given.keys()

    def word(self, node: Node) -> Word:
        word = self._word(node)
        self.script.dollars |= word.text is not None and bool(re.search(r"[$`]", word.text))
        return word

    def _word(self, node: Node) -> Word:
        raw = self.of(node)
        match node.type:
            case "word" | "number" | "variable_name" | "extglob_pattern" | "regex":
                return plain(raw)
            case "raw_string":
                return Word(raw=raw, text=raw[1:-1])
            case "ansi_c_string":
                return Word(raw=raw, text=ansi(raw[2:-1]), odd=True)
            case "string":
                inner = [child for child in node.named_children if child.type != "string_content"]
                if inner:
                    return Word(
                        raw=raw, text=None, parts=self._variable(inner[0], True) if _alone(node) else ()
                    )
                return Word(raw=raw, text=re.sub(r"\\([$`\"\\\n])", lambda m: m[1].strip("\n"), raw[1:-1]))
            case "simple_expansion" | "expansion":
                return Word(raw=raw, text=None, parts=self._variable(node, False))
            case "process_substitution":
                return Word(raw=raw, text="/dev/fd/63")  # what it runs is judged where it stands
            case "concatenation":
                return self._joined(raw, [self.word(child) for child in node.named_children])
            case "arithmetic_expansion":
                return Word(raw=raw, text=None, parts=("0",))  # some number
            case _:
                return Word(raw=raw, text=None)

    def _joined(self, raw: str, parts: list[Word]) -> Word:
        glob = any(part.glob for part in parts)
        if any(part.text is None for part in parts):
            known = all(part.text is not None or part.parts for part in parts) and not BRACE.search(raw)
            pieces = [
                piece for part in parts for piece in (part.parts if part.text is None else (part.text,))
            ]
            return Word(raw=raw, text=None, glob=glob, parts=tuple(pieces) if known else ())
        if BRACE.search(raw):
            return Word(raw=raw, text=None) if re.search(r"['\"]", raw) else plain(raw)
        text = "".join(part.text or "" for part in parts)
        return Word(raw=raw, text=text, glob=glob, odd=any(part.odd for part in parts))

    def _variable(self, node: Node, quoted: bool) -> tuple[Variable, ...]:
        found = re.fullmatch(r"\$\{?([A-Za-z_]\w*)\}?", self.of(node))
        return (Variable(name=found[1], quoted=quoted),) if found else ()

    def of(self, node: Node | None) -> str:
        return "" if node is None else self.source[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _alone(node: Node) -> bool:
    """Whether a double-quoted string is nothing but one expansion."""
    return len(node.named_children) == 1
