"""Answers that look right and are not, each through the server: rejected with the reason, or called unchecked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from servers.ollama.gates import strength
from servers.ollama.gates.mutants import Mutant, mutants, mutants_of_change
from servers.ollama.gates.strength import on_broken
from tests.recited import recited

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine too every try on broken code is made."""
    monkeypatch.setattr(strength, "TIMES", 10_000)
    monkeypatch.setattr(strength, "TOTAL_S", 200.0)


DOOR = "10:01 OPEN north\n10:02 SHUT north\n10:03 OPEN south\n10:07 SHUT south\n10:09 OPEN east\n"
SHIPS = """<table><tr><th>Ship</th><th>Port</th></tr>
<tr><td>Aurora</td><td>Kiel</td></tr>
<tr><td>Belle</td><td>Gdynia</td></tr>
<tr><td>Castor</td><td>Turku</td></tr></table>
"""
HUT = "Boots stay in the porch.\nThe stove is lit by the warden alone.\nBlankets are folded before noon.\n"
BILL = "Number R-7714\nSum 81.50\n"
RATE = (
    "def tax(net, r=0.2):\n    return net * r\n\n\ndef all_in(net, r=0.2):\n    return net + tax(net, r=r)\n"
)
SERVE = "[web]\nport = 80\n\n[mail]\nport = 25\nslow = true\n"
BOXES = "- [x] hat\n- [ ] map\n- [ ] rope\n"
EXPORTS = "export function a() {}\nexport const b = () => 1;\nfunction c() {}\n"
COMMENTED = EXPORTS.replace("export function", "/** The first. */\nexport function").replace(
    "export const", "/** Always one. */\nexport const"
)
METHODS = "package w\n\nfunc A() {}\n\nfunc (w W) B() {}\n"
TABLES = "CREATE TABLE a (x INT);\nCREATE TABLE IF NOT EXISTS b (x INT);\nCREATE VIEW c AS SELECT 1;\n"
WIDE = "export const wid = (a) => {\n  return a * 2;\n};\nconsole.log(wid(2));\n"
STORE = "class Store:\n    def say(self):\n        return 1\n"
AUSHANG = "# Aushang\n\nAm Donnerstag, dem 12. Mai, bleibt der Laden bis 16 Uhr zu. Kisten sind bei der Kasse abzugeben.\n"
NOTICE = (
    "# Notice\n\nOn Thursday, 12 May, the shop is closed until 16:00. Boxes are to be left at the till.\n"
)
LONG_HUT = f"{HUT}Dogs sleep in the shed and not in the rooms.\nWhoever leaves last shuts the water off and writes it in the book.\n"
RANGE = "function inside(x) {\n  return x > 1;\n}\n"
BUTTONS = ".btn { padding: 4px; }\n.btn-icon { width: 16px; }\na.btn:focus { margin: 0; }\n"
BACK = "# What can be returned\n\nGift cards cannot be returned. Fresh fruit is excluded. Jars travel unopened.\n"
PODS = "services:\n  app:\n    needs: [web]\n  web:\n    image: web:2\n"
PORTS = 'services:\n  web:\n    ports:\n      - "80:80"\n      - "443:443"\n  db:\n    ports:\n      - "5432:5432"\n      - "1:1"\n'
PETS = "id,animal\nk1,cat\nk2,trout\nk3,dog\n"
SHIPS_SCHEMA = {
    "type": "object",
    "properties": {"ships": {"type": "array", "items": {"type": "object"}}},
    "required": ["ships"],
}
OBJECT = {"type": "object"}


async def receipt_of(
    folder: Path, name: str, text: str, answer: str, beside: dict[str, str] | None = None, **call: Any
) -> dict[str, Any]:
    tree = folder / "tree"
    tree.mkdir()
    for path, body in {name: text, **(beside or {})}.items():
        (tree / path).write_text(body, encoding="utf-8")
    return await recited(tree, answer, answer, **{"files": [name], **call})


def ships(*pairs: tuple[str, str]) -> str:
    return json.dumps({"ships": [{"ship": ship, "port": port} for ship, port in pairs]})


HOW_MANY = "How many lines of the file say OPEN?"


@pytest.mark.parametrize(
    ("name", "text", "answer", "call", "outcome", "why"),
    [
        ("door.log", DOOR, "There are 3 such lines.", {"task": HOW_MANY}, "accepted", ""),
        ("door.log", DOOR, "two", {"task": HOW_MANY}, "escalate", "counted: 3 lines with 'OPEN'"),
        ("door.log", DOOR, "4", {"task": "How many lines of it are long?"}, "answered", "unchecked"),
        ("r.py", RATE, "tax, all_in", {"task": "List the functions this file defines."}, "accepted", ""),
        ("r.py", RATE, "tax", {"task": "List the functions this file defines."}, "escalate", "all_in is missing"),
        (
            "h.txt", HUT, "The warden lights it.",
            {"task": "Who may light the stove? Give the exact sentence."}, "escalate", "quotes nothing, and the task asks",
        ),
        (
            "t.py", f"class Bill:\n    def pay(self):\n        pass\n\n\n{RATE}", "pay, tax, all_in",
            {"task": "Name the top-level functions of this module."}, "escalate", "pay is none of them",
        ),
        (
            "s.html", SHIPS, ships(("Aurora", "Kiel"), ("Belle", "Gdynia"), ("Castor", "Turku")),
            {"task": "Extract the ships.", "schema": SHIPS_SCHEMA}, "accepted", "",
        ),
        (
            "s.html", SHIPS, ships(("Aurora", "Kiel"), ("Belle", "Turku")),
            {"task": "Extract the ships.", "schema": SHIPS_SCHEMA}, "escalate", "does not belong to",
        ),
        (
            "b.txt", BILL, '{"number": "R-7714", "sum": 81.5}',
            {"task": "Extract number and amount.", "schema": OBJECT}, "accepted", "",
        ),
        (
            "b.txt", BILL, '{"number": "R-7714", "amount": 815}',
            {"task": "Extract number and amount.", "schema": OBJECT}, "escalate", "not in the material: 815",
        ),
        (
            "b.txt", f"{BILL}Tax 15 %\n", '{"number": "R-7714", "tax": 0.15}',
            {"task": "Extract number and tax.", "schema": OBJECT}, "accepted", "",
        ),
        (
            "b.txt", BILL, '{"number": "", "amount": 81.5}',
            {"task": "Extract number and amount.", "schema": OBJECT}, "escalate", "'number' is left empty",
        ),
        ("h.txt", HUT, '"Boots stay in the porch."', {"task": "Quote the line about boots."}, "accepted", ""),
        (
            "h.txt", HUT, '"Boots stay in the porch."',
            {"task": "Quote both lines, about boots and about blankets."}, "escalate", "asks for 2",
        ),
        (
            "h.txt", f"Part 1\n{HUT}", '"Boots stay in the porch."', {"task": "Quote the first sentence of part 1."}, "accepted", "",
        ),
        (
            "h.txt", HUT, '"Boots stay in the porch."',
            {"task": "Who may light the stove? Quote it."}, "escalate", "no quote has one of the task's words",
        ),
        (
            "p.csv", PETS, "k1,mammal\nk2,fish\nk3,mammal\n",
            {"task": "Write one line per row, id and label: mammal or fish.", "write": "l.csv"},
            "written", "which label is right",
        ),
        (
            "p.csv", PETS, "mammal,cat\nfish,trout\nmammal,dog\n",
            {"task": "Write one line per row, id and label: mammal or fish.", "write": "l.csv"},
            "escalate", "'mammal' is no id",
        ),
        (
            "r.py", RATE, f"```python\n{RATE.replace('net, r=0.2):', 'net, rate=0.2):', 1).replace('net * r', 'net * rate')}```",
            {"task": "Rename the parameter r to rate.", "write": "edits"}, "escalate", "still has the parameter 'r'",
        ),
        (
            "s.toml", SERVE, SERVE.replace("80", "90"), {"task": "Set the port of web to 90.", "write": "edits"}, "accepted", "",
        ),
        (
            "s.toml", SERVE, SERVE.replace("25", "90"), {"task": "Set the port of web to 90.", "write": "edits"},
            "escalate", "mail.port changed, and the task speaks of web.port",
        ),
        (
            "s.toml", f"# the shop's\n{SERVE}", SERVE.replace("80", "90"), {"task": "Set the port of web to 90.", "write": "edits"},
            "escalate", '"# the shop\'s" is gone',
        ),
        (
            "s.toml", f"# the shop's\n{SERVE}", SERVE.replace("80", "90"),
            {"task": "Set the port of web to 90 and drop the comment.", "write": "edits"}, "written", "",
        ),
        (
            "t.py", STORE, STORE.replace("):\n", '):\n        """What is said."""\n'),
            {"task": "Add docstrings to the class and every method.", "write": "edits"}, "escalate", "Store has no docstring",
        ),
        (
            "t.py", STORE, STORE.replace("):\n", '):\n        """What is said."""\n'),
            {"task": "Add docstrings to every function.", "write": "edits"}, "accepted", "",
        ),
        (
            "a.md", AUSHANG, f"The notice is:\n\n{AUSHANG}", {"task": "Translate this notice into English."}, "escalate", "untranslated",
        ),
        (
            "a.md", AUSHANG, "The shop is closed on Thursday and the boxes are to be left at the till.",
            {"task": "Fasse das auf Deutsch zusammen."}, "escalate", "in English; the task asks for German",
        ),
        (
            "a.md", AUSHANG, NOTICE, {"task": "Translate this notice into English."}, "answered", "unchecked",
        ),
        (
            "a.md", AUSHANG, NOTICE.replace("Thursday", "Tuesday"), {"task": "Translate this notice into English."}, "escalate",
            "the material says Donnerstag, and the answer Tuesday",
        ),
        (
            "a.md", AUSHANG, NOTICE.replace("16", "18"), {"task": "Bitte auf Englisch übersetzen."}, "escalate", "the material says 16",
        ),
        (
            "s.toml", SERVE, SERVE.replace("80", '"90"'), {"task": "Set the port of web to 90.", "write": "edits"},
            "escalate", "web.port was 80 and would become the text '90'",
        ),
        (
            "s.toml", SERVE.replace("80", "80  # open"), SERVE.replace("80", "90"),
            {"task": "Set the port of mail to 90.", "write": "edits"}, "escalate", "",
        ),
        (
            "s.toml", SERVE.replace("25", "25  # slow"), SERVE.replace("80", "90"),
            {"task": "Set the port of web to 90.", "write": "edits"}, "escalate", "'# slow' is gone",
        ),
        (
            "h.txt", LONG_HUT, LONG_HUT, {"task": "What is said of the stove? Only the quote.", "gate": "quotes"}, "escalate", "the whole material is quoted",
        ),
        (
            "h.txt", HUT, '"The stove is lit by the warden alone." "Boots stay in the porch."',
            {"task": "Copy the rule about the stove, word for word."}, "answered", "'Boots stay in the porch.' belongs to it",
        ),
        (
            "h.txt", HUT, '"The stove is lit by the warden alone." "Boots stay in the porch."',
            {"task": "Two quotes: on the stove, and where shoes go."}, "accepted", "",
        ),
        (
            "i.js", RANGE, RANGE.replace("function inside", "/** Whether x is outside. */\nfunction inside"),
            {"task": "Write JSDoc.", "write": "edits"}, "written", "'outside' stands there",
        ),
        (
            "b.css", BUTTONS, BUTTONS.replace("btn", "button"), {"task": "Rename the class btn to button.", "write": "edits"},
            "escalate", "more than the name changed, at line 2: 'button-icon'",
        ),
        (
            "b.css", BUTTONS, BUTTONS.replace(".btn {", ".button {").replace(".btn:", ".button:"),
            {"task": "Rename the class btn to button.", "write": "edits"}, "accepted", "",
        ),
        (
            "h.txt", HUT, '"warden"', {"task": "Who lights the stove? Quote the place."}, "escalate", "only a word of 'The stove is lit",
        ),
        (
            "h.txt", HUT, '"warden"', {"task": "Quote the one word that says who lights the stove."}, "accepted", "",
        ),
        (
            "w.js", EXPORTS, COMMENTED, {"task": "One comment line above each function.", "write": "edits"}, "escalate", "c has no comment",
        ),
        (
            "b.md", BACK, '"Gift cards cannot be returned."\n"Fresh fruit is excluded."',
            {"task": "Which two sentences tell what cannot be sent back? Quote them."}, "accepted", "",
        ),
        (
            "s.toml", SERVE, SERVE.replace("80", "81"), {"task": "The web port becomes 90.", "write": "edits"},
            "escalate", "the task says 90, and it stands nowhere",
        ),
        (
            "s.toml", SERVE, SERVE.replace("80", "90"),
            {"task": "From 3 March 2026 on the web port is 90.", "write": "edits"}, "written", "nothing checked",
        ),
        (
            "s.toml", SERVE, SERVE.replace("80", "90"),
            {"task": "Raise the port of web by 10, see #4711.", "write": "edits"}, "written", "nothing checked",
        ),
        (
            "s.toml", SERVE, SERVE.replace("80", "90").replace("slow = true\n", ""),
            {"task": "The web port becomes 90.", "write": "s.toml"}, "escalate", "mail.slow is gone",
        ),
        (
            "w.js", EXPORTS, COMMENTED.replace("function c", "/** Last. */\nfunction c"),
            {"task": "Put JSDoc above every function.", "write": "edits"}, "accepted", "",
        ),
        (
            "w.js", EXPORTS, COMMENTED,
            {"task": "Put JSDoc above every function.", "write": "edits"}, "escalate", "c has no comment above it",
        ),
        (
            "w.js", EXPORTS, COMMENTED.replace("Always one", "The first"),
            {"task": "Write JSDoc.", "write": "edits"}, "escalate", "a and b have the same comment",
        ),
        (
            "w.go", METHODS, METHODS.replace("func A", "// A does it.\nfunc A").replace("func (w", "// A does it for w.\nfunc (w"),
            {"task": "Write Go doc comments for the two.", "write": "edits"}, "escalate", "the comment above B speaks of A",
        ),
        (
            "w.go", METHODS, METHODS.replace("func A", "// A does it.\nfunc A"),
            {"task": "Write Go doc comments for the two.", "write": "edits"}, "escalate", "B has no comment above it",
        ),
        (
            "p.yml", PORTS, PORTS.replace("5432:5432", "5433:5432"),
            {"task": "Make the database come out on 5433.", "write": "edits"}, "written", "nothing checked",
        ),
        (
            "p.yml", PORTS, PORTS.replace('      - "5432:5432"\n', "").replace("80:80", "5433:80"),
            {"task": "Make the database come out on 5433.", "write": "edits"}, "escalate", "is gone",
        ),
        (
            "w.js", EXPORTS, COMMENTED.replace("=> 1", "=> 2"),
            {"task": "Write doc comments.", "write": "edits"}, "escalate", "the code changed too",
        ),
        (
            "w.js", WIDE, WIDE.replace("wid", "width"), {"task": "Use the name width instead of wid.", "write": "edits"}, "accepted", "",
        ),
        (
            "h.txt", HUT, '"Boots stay in the porch."\n"The stove is lit by the warden alone."',
            {"task": "Quote the two lines about boots and blankets."}, "escalate", "has none of the task's words",
        ),
        (
            "t.py", "class Bill:\n    def go(self):\n        return 1\n\n\nBill().go()\n",
            "class Bill:\n    def pay(self):\n        return 1\n\n\nBill().pay()\n",
            {"task": "go should be called pay.", "write": "edits"}, "accepted", "",
        ),
        (
            "b.txt", "Seen on 2026-06-11 by Dr. Ana Horn\n", '{"seen": "2026-06-11 by Dr. Ana Horn", "doctor": "Dr. Ana Horn"}',
            {"task": "Extract date and doctor.", "schema": OBJECT}, "answered", "is only the seen; it holds the doctor too",
        ),
        ("l.md", BOXES, "3", {"task": "How many boxes are not ticked yet?"}, "escalate", "counted: 2 of 3 boxes are not"),
        ("l.md", BOXES, "One.", {"task": "How many of these are done?"}, "accepted", ""),
        ("door.log", DOOR, "drei", {"task": "Wie viele Zeilen enthalten OPEN?"}, "accepted", ""),
        ("door.log", DOOR, "4", {"task": "How many doors are there?"}, "answered", "count it with a search or a command"),
        (
            "w.js", EXPORTS, "a, b, c", {"task": "Which functions does this module export?"},
            "escalate", "c is none of them; the file has 2 functions: a, b",
        ),
        ("w.go", METHODS, "A, B", {"task": "List the functions and methods of this file."}, "accepted", ""),
        ("w.go", METHODS, "A, B", {"task": "List the functions of this file."}, "answered", "unchecked"),
        (
            "t.sql", TABLES, "a, b, c", {"task": "What tables does this script create?"},
            "escalate", "c is none of them; the file has 2 tables: a, b",
        ),
        (
            "b.txt", "Summe 1.249,50 €\n", '{"sum": 1249.5}',
            {"task": "Extrahiere die Summe.", "schema": OBJECT}, "accepted", "",
        ),
        (
            "b.txt", "Fällig 28.4.2026\n", '{"due": "28.4.2026"}',
            {"task": "Extract the date it is due, as YYYY-MM-DD.", "schema": OBJECT}, "escalate", "in another form",
        ),
        (
            "s.html", SHIPS, ships(("Aurora", "Kiel"), ("Belle", "Gdynia"), ("Castor", "Turku")),
            {"task": "Which ships do not lie in Kiel?", "schema": SHIPS_SCHEMA}, "answered", "the rows meant, 3 of 3",
        ),
        (
            "p.csv", PETS, "id,kind\nk1,mammal\nk2,fish\nk3\n",
            {"task": "Say of every animal what kind it is, as CSV.", "write": "l.csv"}, "escalate", "row 4 has 1 cells",
        ),
        (
            "p.csv", PETS, "id,kind\nk1,mammal\nk2,fish\n",
            {"task": "Say of every animal what kind it is, as CSV.", "write": "l.csv"}, "escalate", "id k3 is missing",
        ),
        (
            "p.csv", PETS, "id,kind\nk1,Mammal\nk2,plant\nk3,mammal\n",
            {"task": "Is it a mammal or a fish? CSV, id,kind.", "write": "l.csv"}, "escalate", "'plant' is not one of the labels",
        ),
        (
            "r.py", RATE, RATE.replace("tax(", "levy("),
            {"task": "tax says too little. Call the function levy.", "write": "edits"}, "accepted", "",
        ),
        ("w.js", WIDE, WIDE.replace("wid", "width"), {"task": "Rename wid to width.", "write": "edits"}, "accepted", ""),
        (
            "w.js", WIDE, WIDE.replace("wid", "width").replace("* 2", "* 3"),
            {"task": "Benenne wid in width um.", "write": "edits"}, "escalate", "more than the name changed, at line 2",
        ),
        (
            "p.yml", PODS, PODS.replace("  web:", "  site:"),
            {"task": "The service web should be called site, everywhere.", "write": "edits"},
            "escalate", "line 3 still says 'web'",
        ),
        (
            "p.yml", PODS, PODS.replace("  web:", "  site:"),
            {"task": "Rename the service web to site.", "write": "edits"}, "written", "which may mean another thing",
        ),
        (
            "p.yml", PODS, PODS.replace("web", "site"),
            {"task": "Make it nicer.", "write": "edits"}, "escalate", "services.web.image is gone",
        ),
        (
            "h.txt", HUT, "„Boots stay in the porch.“",
            {"task": "Zitiere den Satz über boots."}, "accepted", "",
        ),
        (
            "h.txt", HUT, '"Boots stay in the porch."',
            {"task": "Zitiere die beiden Sätze über boots und blankets."}, "escalate", "asks for 2",
        ),
    ],
)  # fmt: skip
async def test_what_only_looks_right_is_rejected_or_called_unchecked(
    tmp_path: Path, name: str, text: str, answer: str, call: dict[str, Any], outcome: str, why: str
) -> None:
    receipt = await receipt_of(tmp_path, name, text, answer, **call)
    assert receipt["outcome"] == outcome and why in receipt.get("reason", ""), receipt


@pytest.mark.parametrize(
    ("test", "outcome", "why"),
    [
        ("assert tax(1) == 0.2 and all_in(1) == 1.2", "accepted", ""),
        ("tax(1), all_in(1)", "escalate", "only returns None; they have to compare"),
    ],
)
async def test_tests_have_to_notice_broken_code(tmp_path: Path, test: str, outcome: str, why: str) -> None:
    answer = f"```python\nfrom r import tax, all_in\n\n\ndef test_it():\n    {test}\n```"
    call: dict[str, Any] = {"task": "Write a test file.", "write": "test_r.py"}
    receipt = await receipt_of(tmp_path, "r.py", RATE, answer, **call)
    assert receipt["outcome"] == outcome and why in receipt.get("reason", ""), receipt


TAGS = 'import re\n\n\ndef tag(text):\n    return re.sub(r"[^a-z]", "_", text)\n'
LOWER = TAGS.replace("text)\n", "text.lower()).strip('_')\n")


@pytest.mark.parametrize(
    ("checks", "outcome", "why"),
    [
        (["tag('A!') == 'a'", "tag('b') == 'b'"], "written", "the check passes as well with the pattern '[^a-z]+'"),
        (["tag('A!!b ') == 'a__b'"], "accepted", ""),
        (["tag('b') == 'b'"], "written", "the check passes without the change too"),
    ],
)  # fmt: skip
async def test_a_fix_is_accepted_only_by_a_check_that_fails_on_a_wrong_one(
    tmp_path: Path, checks: list[str], outcome: str, why: str
) -> None:
    test = "from s import tag\n\n\ndef test_tag():\n" + "".join(f"    assert {c}\n" for c in checks)
    call: dict[str, Any] = {
        "task": "tag: no capitals, no dashes at the ends.",
        "write": "edits",
        "gate": "tests",
    }
    receipt = await receipt_of(tmp_path, "s.py", TAGS, f"```python\n{LOWER}```", {"test_s.py": test}, **call)
    assert receipt["outcome"] == outcome and why in receipt.get("reason", ""), receipt
    if outcome == "accepted":
        assert "3 of 3 ways to break the code tried" in receipt["gate"]["checks"][-1]["note"], receipt


def test_no_limit_is_moved_where_both_sides_of_it_come_to_the_same() -> None:
    before = "def f(a, b):\n    pass\n"
    for body in (
        "if a < b:\n        return b\n    return a",
        "return b if a < b else a",
        "if a > b:\n        b = a",
    ):
        assert mutants_of_change(before, f"def f(a, b):\n    {body}\n") == []
    (moved,) = mutants_of_change(before, "def f(a, b):\n    if a < b:\n        return c\n")
    assert "a <= b" in moved.text and moved.what == "with the limit of line 2 taken in"


async def test_tries_on_broken_code_end_with_the_time_the_check_itself_took() -> None:
    calls: list[bytes] = []

    async def passes(data: Mapping[str, bytes]) -> bool:
        calls.append(data["a.py"])
        return False

    broken = [("a.py", Mutant(text=str(n), what="")) for n in range(20)]
    none = await on_broken(passes, {}, broken, took_s=strength.TOTAL_S + 1)
    assert (none.tried, none.note, calls) == (0, "0 of 20 ways to break the code tried", [])
    assert (await on_broken(passes, {}, broken, took_s=0.5)).tried == len(calls) == 20


def test_every_mutant_is_the_module_with_one_thing_wrong() -> None:
    text = (
        'def sign(n):\n    if n < 0:\n        raise ValueError(n)\n    return ["nought", "one", "two"][n]\n'
    )
    found = mutants(text, {"sign"})
    assert found[0].stub and len({m.text for m in found}) == len(found) == 7
    results: list[object] = []
    for mutant in found:
        space: dict[str, Any] = {}
        exec(compile(mutant.text, "m", "exec"), space)
        try:
            results.append(space["sign"](1))
        except (ValueError, IndexError) as exc:
            results.append(type(exc).__name__)
    assert results.count("one") == 2  # without the error, and without an entry after it
    assert mutants("def broken(:", {"broken"}) == []


MINUTES = """exports.minutes = (text) => {
  const found = text.match(/^(\\d+)h$/);
  return found ? Number(found[1]) * 60 : null;
};
"""
MINUTES_CHECK = """const assert = require("assert");
const { minutes } = require("./m.js");
assert.strictEqual(minutes("2h"), 120);
assert.strictEqual(minutes("45m"), 45);
"""
GENERAL = MINUTES.replace("(\\d+)h$/", "(\\d+)([hm])$/").replace("* 60", '* (found[2] === "h" ? 60 : 1)')
TAILORED = MINUTES.replace("  const found", '  if (text === "45m") return 45;\n  const found')


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize(("fixed", "outcome"), [(GENERAL, "accepted"), (TAILORED, "written")])
async def test_a_fix_that_names_the_cases_of_its_check_is_not_accepted(
    tmp_path: Path, fixed: str, outcome: str
) -> None:
    receipt = await receipt_of(
        tmp_path, "m.js", MINUTES, f"```js\n{fixed}```", {"check.js": MINUTES_CHECK},
        files=["m.js", "check.js"], task="minutes knows no minutes", write="edits", gate={"command": "node check.js"},
    )  # fmt: skip
    assert receipt["outcome"] == outcome, receipt["reason"]
    assert outcome == "accepted" or 'names "45m", a case of its check' in receipt["reason"]
