"""Reading a worker's answer: what is meant in exactly one way is found, everything else is refused."""

from __future__ import annotations

import difflib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from servers.ollama.delegate.chunks import cut
from servers.ollama.engines.protocol import Model
from servers.ollama.forecast.model_choice import Chooser, Option
from servers.ollama.gates.answer import BadAnswer, answered, edited, from_patch, rewritten
from servers.ollama.gates.documents import Document
from servers.ollama.gates.gates import Gates, parse_gates
from servers.ollama.gates.json_schema import in_order
from servers.ollama.gates.quotes import quoted
from servers.ollama.ledger.runs import Totals
from servers.output import ToolError
from servers.source.encoding import Text as Decoded
from servers.source.encoding import decode

LINES = st.lists(
    st.text(st.characters(codec="ascii", exclude_characters="\r\n\0`\x0b\x0c\x1c\x1d\x1e"), max_size=12),
    max_size=12,
)


def text(path: str, body: str) -> Document:
    return Document(path=path, rev="r", decoded=Decoded(body=body))


def block(path: str, old: str, new: str) -> str:
    return f"{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE"


@given(LINES, LINES)
def test_a_diff_made_of_two_texts_leads_from_one_to_the_other(before: list[str], after: list[str]) -> None:
    a, b = "\n".join(before) + "\n", "\n".join(after) + "\n"
    assume(a.rstrip("\n") != b.rstrip("\n") and "".join(before))
    diff = "\n".join(
        difflib.unified_diff(a.splitlines(), b.splitlines(), "a/f", "b/f", lineterm="", n=len(before))
    )
    assume("--- " not in diff[4:] and "+++ " not in diff.split("\n", 2)[2])
    found = from_patch(f"```diff\n{diff}\n```", {"f": text("f", a)}).files["f"]
    assert found.splitlines() == b.splitlines()


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n", "creates, renames or deletes f"),
        ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-three\n+drei\n", "f, hunk 1: its old lines are not in the file"),
        ("--- a/f\n+++ b/f\n@@ -9 +9 @@\n-one\n+eins\n", "fits in 2 places"),
        ("--- a/g\n+++ b/g\n@@ -1 +1 @@\n-one\n+eins\n", "'g' is not one of the files given"),
    ],
)
def test_a_diff_that_can_be_read_in_no_way_or_in_two_is_refused_in_one_line(patch: str, said: str) -> None:
    with pytest.raises(BadAnswer, match=said) as caught:
        from_patch(patch, {"f": text("f", "one\ntwo\none\n")})
    assert "\n" not in str(caught.value)


@given(
    LINES, st.integers(0, 11), st.text(st.characters(codec="ascii", exclude_characters="\r\n\0"), max_size=9)
)
def test_an_edit_changes_the_one_place_it_names_or_is_refused(lines: list[str], at: int, new: str) -> None:
    assume(at < len(lines) and lines[at].strip() and "SEARCH" not in new and "====" not in new + lines[at])
    body = "\n".join(lines) + "\n"
    inputs = {"f": text("f", body)}
    try:
        found = edited(block("f", lines[at], new), inputs).files["f"]
    except BadAnswer:
        assert lines.count(lines[at]) > 1 or lines[at] == new or lines[at].startswith(("<<<", ">>>"))
        return
    wanted = [*lines[:at], new, *lines[at + 1 :]]
    assert found == "\n".join(wanted) + "\n"


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        ("x = 1", "x = 1\n"),
        ("```python\nx = 1\n```", "x = 1\n"),
        ("Here it is:\n```\nx = 1\n```\nDone.", "x = 1\n"),
        ("<think>hm, ```a```</think>\n```\nx = 1\n```", "x = 1\n"),
        ("````\n```\nx\n```\n````", "```\nx\n```\n"),
    ],
)
def test_a_whole_file_is_found_in_its_fence(answer: str, content: str) -> None:
    assert rewritten(answer, "f.py", None).files == {"f.py": content}


def test_the_code_blocks_of_a_markdown_file_are_its_own() -> None:
    page = "# Use\n\n```\nrun it\n```\n\nand\n\n```\nagain\n```\n"
    assert rewritten(page, "README.md", None).files["README.md"] == page
    assert rewritten(f"````markdown\n{page}````", "README.md", None).files["README.md"] == page


@pytest.mark.parametrize("answer", ["", "   \n", "```\na\n```\n```\nb\n```", "```\nopen"])
def test_an_answer_that_could_mean_two_files_or_none_is_refused(answer: str) -> None:
    with pytest.raises(BadAnswer):
        rewritten(answer, "f.py", None)


def test_several_blocks_are_applied_in_turn_to_several_files() -> None:
    inputs = {"a.py": text("a.py", "one\ntwo\n"), "b.py": text("b.py", "three\n")}
    answer = "\n".join(
        [block("a.py", "one", "1"), block("`./a.py`", "two", "2"), block("b/b.py", "three", "3")]
    )
    with pytest.raises(BadAnswer, match="is not one of the files given"):
        edited(answer.replace("b/b.py", "c.py"), inputs)
    assert edited(answer, inputs).files == {"a.py": "1\n2\n", "b.py": "3\n"}


def test_no_line_in_the_replacement_deletes_and_an_empty_one_stays() -> None:
    inputs = {"f": text("f", "one\ntwo\nthree\n")}
    gone = "f\n<<<<<<< SEARCH\ntwo\n=======\n>>>>>>> REPLACE"
    assert edited(gone, inputs).files == {"f": "one\nthree\n"}
    assert edited(block("f", "two", ""), inputs).files == {"f": "one\n\nthree\n"}


def test_an_empty_answer_is_no_answer() -> None:
    with pytest.raises(BadAnswer, match="empty"):
        answered("<think>only thoughts</think>", schema=False)


@given(st.text(max_size=400), st.integers(1, 60))
def test_chunks_lose_nothing_but_blank_pieces_and_keep_their_size(body: str, size: int) -> None:
    decoded = decode(body.encode("utf-8", "replace"))
    assume(decoded is not None)
    assert decoded is not None
    whole = Document(path="f", rev="r", decoded=decoded)
    chunks = cut(whole, size)
    assert all(len(chunk.text.text) <= size for chunk in chunks)
    joined = "".join(chunk.text.text for chunk in chunks)
    assert "".join(joined.split()) == "".join(whole.text.split())


@given(st.text(max_size=200))
def test_looking_for_quotes_finds_texts_or_says_what_is_wrong(answer: str) -> None:
    with suppress(ValueError):
        assert all(span.strip() for span in quoted(answer))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("tests", {"tests": ""}),
        ({"tests": "tests/test_a.py"}, {"tests": "tests/test_a.py"}),
        (["quotes", {"max_changed_lines": 3}], {"quotes": True, "max_changed_lines": 3}),
        ('{"command": "make check"}', {"command": "make check"}),
        ("max_changed_lines=7", {"max_changed_lines": 7}),
        ("command: pytest -q", {"command": "pytest -q"}),
        ({"syntax": False}, {"syntax": False}),
        ("auto", {}),
        (["auto", "quotes"], {"quotes": True}),
        (None, {}),
    ],
)
def test_a_gate_may_be_said_in_many_ways(given: Any, found: dict[str, Any]) -> None:
    assert parse_gates(given, None) == Gates(asked=found)
    assert parse_gates("none", None) == Gates(off=True)


@pytest.mark.parametrize(
    "given", ["pytest", {"command": ""}, {"max_changed_lines": -1}, 7, ["none", "tests"], "{", {"schema": 1}]
)
def test_a_gate_that_makes_no_sense_is_refused(given: Any) -> None:
    with pytest.raises(ToolError, match="gate"):
        parse_gates(given, None)


def option(name: str, size: int, passed: int, failed: int, **changes: Any) -> Option:
    totals = Totals(model=name, kind="edit", gate_passed=passed, gate_failed=failed)
    made = {"plan": None, "forecast": None, "totals": totals, "model": Model(name=name, size_bytes=size)}
    return Option(**{**made, **changes})  # type: ignore[arg-type]


def test_auto_prefers_what_passes_and_never_takes_what_cannot() -> None:
    good, bad = option("good", 10**9, 40, 2), option("bad", 10**9, 2, 40)
    unfit = option("unfit", 10**10, 99, 0, unfit="it holds 4,096 tokens")
    chooser = Chooser()
    assert [o.model.name for o in chooser.ranked([bad, unfit, good])] == ["good", "bad", "unfit"]
    taken = [chooser.take([good, bad, unfit])[0].model.name for _ in range(50)]
    assert taken.count("good") > 45 and "unfit" not in taken


def test_auto_tries_a_model_nobody_has_judged_now_and_then() -> None:
    known, new = option("known", 5 * 10**9, 12, 8), option("new", 5 * 10**9, 0, 0)
    taken = {Chooser().take([known, new])[0].model.name for _ in range(60)}
    assert taken == {"known", "new"}


def test_auto_says_why_nothing_can_be_taken() -> None:
    with pytest.raises(ToolError, match="unfit: it holds 4,096 tokens"):
        Chooser().take([option("unfit", 1, 0, 0, unfit="it holds 4,096 tokens")])


CALC = "import os\n\n\ndef add(a, b):\n    return a - b\n\n\ndef area(w, h):\n    return w * h\n"
FIXED = CALC.replace("a - b", "a + b")


@pytest.mark.parametrize(
    "answer",
    [
        block("calc.py", "return a - b", "return a + b"),
        block("calc.py", "5 |     return a - b", "5 |     return a + b"),
        block("calc.py", "    return a - b  ", "    return a + b"),
        "```python\n" + block("calc.py", "    return a - b", "    return a + b") + "\n```",
        f"```python\n{FIXED}```",
        f"Here is the file:\n```python\n{FIXED}",
        FIXED,
        "```python\ndef add(a, b):\n    return a + b\n```",
        "The sign was wrong.\n```python\n    def add(a, b):\n        return a + b\n```\n```bash\npython calc.py\n```",
        "--- a/calc.py\n+++ b/calc.py\n@@ -4,2 +4,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n",
    ],
)
def test_one_change_is_understood_in_every_form_a_model_gives_it(answer: str) -> None:
    assert edited(answer, {"calc.py": text("calc.py", CALC)}).files == {"calc.py": FIXED}


ADD_JS = "export function add(a, b) {\n  return a - b;\n}\n\nexport const one = () => 1;\n\nexport function two(a) {\n  return 2 * a;\n}\n"
BOX_TS = "class Box {\n\tput(a) {\n\t\tthis.a = a;\n\t}\n\n\tget() {\n\t\treturn 1;\n\t}\n}\n"
PORTS = "[web]\nport = 1\nlevel = info\n\n[mail]\nfrom = a\n"
TABS = "def f(a):\n\treturn a\n\n\ndef g(a):\n\treturn a * 2\n"


@pytest.mark.parametrize(
    ("path", "before", "answer", "old", "new"),
    [
        ("a.js", ADD_JS, "```js\nexport function add(a, b) {\n  return a + b;\n}\n```", "a - b", "a + b"),
        (
            "a.js",
            ADD_JS,
            "The sign:\n```js\n// Adds.\nexport function add(a, b) {\n  return a + b;\n}\n```",
            "export function add(a, b) {\n  return a - b",
            "// Adds.\nexport function add(a, b) {\n  return a + b",
        ),
        ("b.ts", BOX_TS, block("b.ts", "    get() {\n        return 1;", "    get() {\n        return this.a;"), "1", "this.a"),
        ("a.ini", PORTS, "```ini\nport = 2\n```", "port = 1", "port = 2"),
        ("a.ini", PORTS, "[web]\nlevel = debug", "info", "debug"),
        ("a.ini", PORTS, "1: [web]\n2: port = 2\n3: level = info\n4: \n5: [mail]\n6: from = a", "= 1", "= 2"),
        ("a.ini", PORTS, "Sure! Here is the file:\n\n" + PORTS.replace("1", "2"), "= 1", "= 2"),
        ("t.py", TABS, TABS.replace("\t", "    ").replace("* 2", "* 3"), "* 2", "* 3"),
        ("t.py", TABS, block("t.py", "    return a * 2", "    b = 3\n    return a * b"), "return a * 2", "b = 3\n\treturn a * b"),
        ("t.py", TABS.replace("\t", "  "), TABS.replace("* 2", "* 3"), "* 2", "* 3"),
    ],
)  # fmt: skip
def test_a_part_of_any_language_and_a_file_with_numbers_or_talk_is_put_in_its_place(
    path: str, before: str, answer: str, old: str, new: str
) -> None:
    assert edited(answer, {path: text(path, before)}).files == {path: before.replace(old, new)}


@pytest.mark.parametrize(
    ("path", "answer", "content"),
    [
        ("n.csv", "Sure! Here is the CSV:\n\na,b\n1,2\n\nLet me know if you need more.", "a,b\n1,2\n"),
        ("n.md", "Here is the table:\n\n```markdown\n| a |\n|---|\n```", "| a |\n|---|\n"),
        (
            "n.json",
            '```json\n{"a": "x, // y", // first\n "b": [1, 2,],}\n```',
            '{"a": "x, // y", \n "b": [1, 2]}\n',
        ),
        ("n.txt", "1 Paris\n2 London\n", "1 Paris\n2 London\n"),
        ("n.txt", "Sure! Here is the letter:\n\nDear Ann,\nbye.\n\nI hope this helps!", "Dear Ann,\nbye.\n"),
        ("n.txt", "Dear Ann,\n\nLet me know if you can come.", "Dear Ann,\n\nLet me know if you can come.\n"),
        (
            "R.md",
            "Here are the rules:\n\nNo dogs.\n\nIf you need help, ask.",
            "Here are the rules:\n\nNo dogs.\n\nIf you need help, ask.\n",
        ),
        (
            "R.md",
            "Of course, dogs may enter.\n\nCats may not.",
            "Of course, dogs may enter.\n\nCats may not.\n",
        ),
    ],
)
def test_a_new_file_holds_no_talk_and_json_no_commas_too_many(path: str, answer: str, content: str) -> None:
    assert rewritten(answer, path, None).files == {path: content}


@pytest.mark.parametrize(
    ("path", "before", "answer"),
    [
        ("a.ini", "[a]\nport = 1\nlong = yes\n[b]\nport = 2\nlong = no\n", "port = 3"),
        ("a.js", ADD_JS, "```js\nlet x = 1;\n```"),
    ],
)
def test_a_part_whose_place_is_not_certain_is_refused(path: str, before: str, answer: str) -> None:
    with pytest.raises(BadAnswer):
        edited(answer, {path: text(path, before)})


@pytest.mark.parametrize(
    "answer",
    [
        "```python\nreturn a + b\n```",
        "```python\ndef subtract(a, b):\n    return a + b\n```",
        block("calc.py", "return", "yield"),
        "Change the sign.",
    ],
)
def test_a_part_that_could_stand_anywhere_is_refused(answer: str) -> None:
    with pytest.raises(BadAnswer):
        edited(answer, {"calc.py": text("calc.py", CALC)})


def test_an_answer_s_keys_stand_in_the_order_of_its_schema() -> None:
    person = {"properties": {"name": {}, "born": {}, "seat": {"properties": {"row": {}, "place": {}}}}}
    schema: dict[str, Any] = {
        "properties": {
            "people": {"items": {"anyOf": [{"properties": {"x": {}}}, {"$ref": "#/$defs/p"}]}},
            "count": {},
        },
        "$defs": {"p": person},
    }
    mixed = {"count": 1, "more": 0, "people": [{"born": 2, "seat": {"place": 4, "row": 3}, "name": "A"}]}
    told = in_order(mixed, schema)
    assert told == mixed
    assert (
        repr(told)
        == "{'people': [{'name': 'A', 'born': 2, 'seat': {'row': 3, 'place': 4}}], 'count': 1, 'more': 0}"
    )
    assert in_order([{"b": 1, "a": 2}], {"$ref": "#/x"}) == [{"b": 1, "a": 2}]
    assert in_order({"a": 1}, {"$ref": "#/x", "x": {"$ref": "#/x"}}) == {"a": 1}
