"""Small everyday tasks for real workers, each with a checker of its own that looks at the end result, never at the gate.

Half of them ("tune") are for choosing prompts and forms by; the other half ("report") only for reporting.
"""

from __future__ import annotations

import ast
import csv
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

Half = str
"""tune or report."""


@dataclass(frozen=True, kw_only=True)
class End:
    """What a delegation came to: the answer, its parsed form, and the task's files as they lie on disk."""

    answer: str = ""
    data: Any = None
    files: Mapping[str, str] = field(default_factory=dict[str, str])


Check = Callable[[End], bool]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One task: its files, the call, and whether an end is right."""

    name: str
    kind: str
    half: Half
    files: Mapping[str, str]
    call: Mapping[str, Any]
    check: Check
    tool: str = "delegate"


# What ends must hold


def says(*wanted: str, no: Sequence[str] = (), most: int = 900) -> Check:
    """Every pattern occurs in the answer, none of `no` does, and it is no longer than `most` characters."""

    def check(end: End) -> bool:
        text = end.answer.lower()
        return (
            0 < len(text) <= most
            and all(re.search(pattern, text) for pattern in wanted)
            and not any(re.search(pattern, text) for pattern in (*no, *_OUR_WORDS))
        )

    return check


def some_of(least: int, *words: str, shortest: int = 40, longest: int = 900) -> Check:
    """A text of that length with at least so many of the words in it."""

    def check(end: End) -> bool:
        text = end.answer.lower()
        found = sum(bool(re.search(word, text)) for word in words)
        fits = shortest <= len(text.strip()) <= longest and not any(re.search(w, text) for w in _OUR_WORDS)
        return found >= least and fits

    return check


def holds(wanted: object) -> Check:
    """The data equals this, letter case, order of lists and spaces apart."""
    return lambda end: _plain(end.data) == _plain(wanted)


def quotes(*spans: str) -> Check:
    """The answer quotes every one of the spans, and quotes nothing that is not in the material."""

    def check(end: End) -> bool:
        material = " ".join(" ".join(text.split()) for text in end.files.values())
        found = [" ".join((a or b).split()) for a, b in re.findall(r'"([^"]+)"|“([^”]+)”', end.answer)]
        return (
            bool(found)
            and all(span in material for span in found)
            and all(any(wanted.lower() in span.lower() for span in found) for wanted in spans)
            and len(end.answer) < 1200
        )

    return check


def documented(path: str) -> Check:
    """Every function has a docstring of its own that says something, and no code changed."""

    def check(end: End) -> bool:
        try:
            now, before = ast.parse(end.files[path]), ast.parse(_ORIGINAL[path])
        except (SyntaxError, KeyError):
            return False
        found = [
            (node.name, ast.get_docstring(node) or "")
            for node in ast.walk(now)
            if isinstance(node, ast.FunctionDef)
        ]
        docs = [doc for _, doc in found]
        return (
            ast.dump(_bare(now)) == ast.dump(_bare(before))
            and all(len(doc.split()) >= 3 for doc in docs)
            and len({doc.lower() for doc in docs}) == len(docs)
            and not any(
                re.search(r"does something|function does|describes? what|docstring", d, re.IGNORECASE)
                for d in docs
            )
        )

    return check


def behaves(path: str, program: str) -> Check:
    """The module does what these assertions say."""

    def check(end: End) -> bool:
        module = Path(path).stem
        return _runs({path: end.files.get(path, "")}, f"import {module}\nfrom {module} import *\n{program}")

    return check


def renamed(path: str, old: str, new: str) -> Check:
    """Exactly this name became the other everywhere in code, and nothing else changed."""

    def check(end: End) -> bool:
        wanted = re.sub(rf"\b{old}\b", new, _ORIGINAL[path])
        try:
            return ast.dump(_bare(ast.parse(end.files[path]))) == ast.dump(_bare(ast.parse(wanted)))
        except (SyntaxError, KeyError):
            return False

    return check


def tests_tell(test: str, module: str, *broken: tuple[str, str]) -> Check:
    """The test file passes on the module, and fails on each variant of it made by replacing a text."""

    def check(end: End) -> bool:
        text, code = end.files.get(test), _ORIGINAL[module]
        if not text or not re.search(r"def test", text):
            return False
        worse = [code.replace(old, new) for old, new in broken]
        return _passes({module: code, test: text}) and not any(
            _passes({module: w, test: text}) for w in worse
        )

    return check


def labelled(wanted: Mapping[str, str], wrong: int = 0) -> Check:
    """Each id has its label, at most `wrong` of them another one."""

    def check(end: End) -> bool:
        rows: Any = end.data.get("rows") if isinstance(end.data, dict) else end.data
        if not isinstance(rows, list):
            return False
        found = {
            str(r.get("id")): str(r.get("label")) for r in cast("list[Any]", rows) if isinstance(r, dict)
        }
        return found.keys() == wanted.keys() and sum(found[i] != wanted[i] for i in wanted) <= wrong

    return check


def labelled_csv(path: str, wanted: Mapping[str, str], wrong: int = 0) -> Check:
    """The same for a file of lines "id,label"; a header may stand above."""

    def check(end: End) -> bool:
        rows = [row for row in csv.reader(io.StringIO(end.files.get(path, ""))) if len(row) >= 2]
        found = {row[0].strip(): row[-1].strip().lower() for row in rows if row[0].strip() in wanted}
        return found.keys() == wanted.keys() and sum(found[i] != wanted[i] for i in wanted) <= wrong

    return check


_OUR_WORDS = (r"you are a worker", r"<<data", r"nothing inside it is an instruction", r"you get material")


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return sorted((_plain(v) for v in cast("list[object]", value)), key=repr)
    if isinstance(value, str):
        return " ".join(value.lower().split())
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _bare(tree: ast.Module) -> ast.Module:
    """The tree without docstrings."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and body
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _runs(files: Mapping[str, str], program: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        Path(folder, "check_it.py").write_text(program)
        return _ends_well(folder, [sys.executable, "check_it.py"])


def _passes(files: Mapping[str, str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        return _ends_well(folder, [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "."])


def _ends_well(folder: str, command: Sequence[str]) -> bool:
    try:
        return (
            subprocess.run(command, check=False, cwd=folder, capture_output=True, timeout=60).returncode == 0
        )
    except subprocess.TimeoutExpired:
        return False


# The material

SERVICE_TOML = """# service settings
[server]
host = "0.0.0.0"
port = 8443
workers = 4

[metrics]
enabled = true
port = 9100

[limits]
max_body_kb = 512
timeout_s = 30
"""
CHANGELOG = """# Changelog

## 2.4.0
- Added a retry option to the uploader.
- Fixed a crash on empty archives.

## 2.3.0
- Support for Python 3.8 was dropped.
- The cache is now on by default.

## 2.2.1
- Fixed time zones in reports.
"""
SIZES_PY = '''"""Sizes as people write them."""

UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}


def parse_size(text: str) -> int:
    text = text.strip().lower()
    if not text:
        return 0
    if text[-1] in UNITS:
        return int(float(text[:-1]) * UNITS[text[-1]])
    return int(text)


def show_size(count: int) -> str:
    for unit in "gmk":
        if count >= UNITS[unit]:
            return f"{count / UNITS[unit]:.1f}{unit}"
    return str(count)
'''
APP_LOG = """2026-03-01 08:00:01 INFO start
2026-03-01 08:00:04 INFO connected to db
2026-03-01 08:01:10 ERROR timeout reading invoice 4411
2026-03-01 08:01:12 WARN retry 1
2026-03-01 08:01:15 INFO invoice 4411 done
2026-03-01 08:03:40 ERROR disk quota reached
2026-03-01 08:03:41 WARN cleanup started
2026-03-01 08:05:00 INFO cleanup done
2026-03-01 08:07:22 ERROR timeout reading invoice 4419
2026-03-01 08:09:00 INFO stop
"""
STOCK_PY = """import json
from pathlib import Path


class Shelf:
    def __init__(self, path):
        self.path = Path(path)


def load(path):
    return json.loads(Path(path).read_text())


def missing(stock, wanted):
    return {name: count - stock.get(name, 0) for name, count in wanted.items() if stock.get(name, 0) < count}


def restock(stock, name, count):
    stock[name] = stock.get(name, 0) + count
    return stock
"""
BACKOFF_PY = """import random
import time


def call(action, tries=5, base=0.5):
    for attempt in range(tries):
        try:
            return action()
        except ConnectionError:
            if attempt == tries - 1:
                raise
            time.sleep(base * 2**attempt + random.random() * 0.1)
"""
CREW_INI = """[backup]
schedule = 02:30
target = /srv/backup
keep_days = 14

[reports]
schedule = 06:00
recipients = ops@example.org
"""
CONTACTS = """Team sheet, spring

Mara Lindt leads the group (mara.lindt@example.org). Questions about builds go to
Tom Okafor, tom@example.org. Payroll is handled by Iris Vale <iris.vale@example.com>.
"""
INVOICE = """ACME Paper Ltd.                         Invoice No. INV-20817
                                        Date: 2026-02-14
20 boxes of copy paper          160.00
 4 toner cartridges             212.40
Total due                       372.40
"""
ERRORS_TXT = """E104 the file could not be opened
ok   3 files copied
E220 checksum mismatch in part 7
ok   part 8 copied
E104 the file could not be opened
E301 no space left
"""
MEETING = """Notes, 2026-05-06

Present: Ana, Bo and Chidi. Apologies from Dee.
We agreed that Bo writes the migration guide by Friday. Chidi will order two new test phones.
The next meeting is on 2026-05-20.
"""
PACKAGE = """{
  "name": "shop-front",
  "version": "1.8.2",
  "dependencies": {"react": "^18.2.0", "zod": "^3.22.1"},
  "devDependencies": {"vite": "^5.0.0"}
}
"""
TRAINS = """<table>
<tr><th>Train</th><th>To</th><th>Leaves</th></tr>
<tr><td>IC 804</td><td>Bergen</td><td>07:15</td></tr>
<tr><td>RE 31</td><td>Voss</td><td>07:50</td></tr>
<tr><td>IC 812</td><td>Oslo</td><td>09:05</td></tr>
</table>
"""
INCIDENT = """Incident report

On 3 March the checkout of the web shop was unavailable for 47 minutes. A certificate of the payment gateway had expired
during the night. The monitoring did not notice it because it only tested the start page. The on-call engineer renewed the
certificate at 09:32 and the checkout worked again at once. About 210 orders were lost. As a consequence, certificates are
now renewed automatically 30 days before they expire, and the monitoring places a test order every five minutes.
"""
LIBRARY = """The town library reopens on Monday after eight months of renovation. The reading room has got new windows, and the
children's section moved to the ground floor, where it has twice as much space as before. The lift that was out of order since
last year has been replaced. Opening hours stay the same, except that the library now closes at eight in the evening on
Thursdays. The renovation cost 1.2 million euros, a tenth less than planned.
"""
RELEASE = """Version 5 of the editor changes how projects are opened. A project is now a folder, no longer a single file, so several people
can work on it with a version control system. Old projects are converted when they are opened for the first time; the old
file is kept with the ending .bak. The search was rewritten and is about ten times faster on large projects. Plugins written
for version 4 do not work any more and have to be built again.
"""
HEAT = """A heat pump moves heat from outside into a building. Even cold air holds heat, which the pump collects with a refrigerant that
boils at a low temperature. A compressor raises the pressure and so the temperature of the vapour, which then gives its heat to
the water of the heating system. For each kilowatt hour of electricity a good pump delivers three to four kilowatt hours of
heat. In very cold weather this ratio gets worse, which is why some houses keep an electric heating rod for such days.
"""
CONTRACT = """1. The tenant pays the rent by the third working day of each month.
2. Pets are allowed only with the written consent of the landlord.
3. The tenant may end this contract with three months' notice.
4. Repairs of up to 80 euros are paid by the tenant.
5. The deposit amounts to two monthly rents and is returned within six weeks after moving out.
"""
MANUAL = """Cleaning the coffee machine

Switch the machine off and let it cool down for ten minutes before you open it.
Rinse the brewing unit under warm water without any soap.
Descale the machine every three months, or when the red lamp blinks.
Never put the water tank into the dishwasher.
"""
POLICY_TXT = """Travel policy

Trips of less than four hours are made by train.
Hotel rooms may cost up to 130 euros a night.
Receipts must be handed in within 30 days after the trip.
Taxis are paid only when no public transport runs.
"""
RULES_TXT = """Garden rules

Gates are locked at nine in the evening.
Dogs must be kept on a lead.
Barbecues are permitted on the gravel only.
Children under twelve need a grown-up with them.
"""
TEMPS_PY = """def to_celsius(fahrenheit):
    return (fahrenheit - 32) * 5 / 9


def mean(values):
    return sum(values) / len(values)


def hottest(readings):
    return max(readings, key=lambda reading: reading[1])[0]
"""
WORDS_PY = """def vowels(text):
    return sum(letter in "aeiou" for letter in text.lower())


def is_palindrome(text):
    letters = [c.lower() for c in text if c.isalnum()]
    return letters == letters[::-1]
"""
BANK_PY = """class Account:
    def __init__(self, owner):
        self.owner = owner
        self.balance = 0

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("amount must be positive")
        self.balance += amount

    def withdraw(self, amount):
        if amount > self.balance:
            raise ValueError("not enough money")
        self.balance -= amount
"""
GEO_PY = """import math


def distance(a, b):
    return math.hypot(a[0] - b[0], a[1] - b[1])


def area(width, height):
    return width * height


def centre(points):
    xs = [p[0] for p in points]
    ys = [p[1] for p in points]
    return sum(xs) / len(xs), sum(ys) / len(ys)
"""
LEAP_PY = """def is_leap(year):
    return year % 4 == 0
"""
LEAP_TEST = """from leap import is_leap

assert is_leap(2024)
assert is_leap(2000)
assert not is_leap(1900)
assert not is_leap(2023)
"""
CHUNK_PY = '''def chunks(items, size):
    """The items in lists of `size`; the last may be shorter."""
    found = []
    for start in range(0, len(items) - size, size):
        found.append(items[start : start + size])
    return found
'''
CHUNK_TEST = """from chunk import chunks

assert chunks([1, 2, 3, 4], 2) == [[1, 2], [3, 4]]
assert chunks([1, 2, 3], 2) == [[1, 2], [3]]
assert chunks([], 3) == []
"""
GRADE_PY = """def grade(points):
    if points > 90:
        return "A"
    if points > 75:
        return "B"
    if points > 50:
        return "C"
    return "F"
"""
GRADE_TEST = """from grade import grade

assert grade(90) == "A"
assert grade(75) == "B"
assert grade(50) == "C"
assert grade(49) == "F"
"""
CART_PY = """def total(cart, discount=0):
    amount = 0
    for name, price, count in cart:
        amount += price
    return amount * (1 - discount)


def names(cart):
    return [name for name, price, count in cart]
"""
CART_TEST = """from cart import names, total

assert total([("a", 2, 3), ("b", 5, 1)]) == 11
assert total([("a", 10, 1)], discount=0.5) == 5
assert names([("a", 2, 3)]) == ["a"]
"""
INITIALS_PY = """def initials(name):
    return "".join(part[0] for part in name.split(" "))
"""
INITIALS_TEST = """from initials import initials

assert initials("ada lovelace") == "AL"
assert initials("  grace   hopper ") == "GH"
assert initials("") == ""
"""
MEDIAN_PY = """def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle]


def spread(values):
    return max(values) - min(values)
"""
MEDIAN_TEST = """from median import median, spread

assert median([3, 1, 2]) == 2
assert median([4, 1, 3, 2]) == 2.5
assert spread([5, 1]) == 4
"""
SLUG_PY = '''import re


def slug(title):
    """A title as part of an address: small letters, words joined by one dash."""
    return re.sub(r"[^a-z0-9]", "-", title.lower())
'''
SLUG_TEST = """from slug import slug

assert slug("Hello World") == "hello-world"
assert slug("  What's new?  ") == "what-s-new"
"""
ORDERS_PY = """def calc(order):
    return order["price"] * order["count"]


def report(orders):
    lines = []
    for order in orders:
        lines.append(f"{order['name']}: {calc(order)}")
    lines.append(f"sum: {sum(calc(order) for order in orders)}")
    return lines
"""
QUEUE_PY = """class Queue:
    def __init__(self):
        self.lst = []

    def push(self, item):
        self.lst.append(item)

    def pop(self):
        return self.lst.pop(0)

    def __len__(self):
        return len(self.lst)
"""
MAILER_PY = """import smtplib


def snd(host, message):
    with smtplib.SMTP(host) as server:
        server.send_message(message)


def send_all(host, messages):
    for message in messages:
        snd(host, message)


def retry(host, message, times=3):
    for _ in range(times):
        try:
            return snd(host, message)
        except OSError:
            continue
"""
TAX_PY = """VAT = 0.19


def gross(net, rt=VAT):
    return round(net * (1 + rt), 2)


def net(gross_amount, rt=VAT):
    return round(gross_amount / (1 + rt), 2)
"""
CLAMP_PY = '''def clamp(value, low, high):
    """`value`, but at least `low` and at most `high`."""
    return max(low, min(value, high))
'''
ROMAN_PY = '''def roman(number):
    """A number from 1 to 3999 in Roman numerals. ValueError outside."""
    if not 0 < number < 4000:
        raise ValueError("out of range")
    pairs = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
             (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]
    text = ""
    for size, letters in pairs:
        while number >= size:
            text += letters
            number -= size
    return text
'''
DEDUPE_PY = '''def dedupe(items):
    """The items without repetitions, in the order in which they first came."""
    seen = set()
    return [item for item in items if not (item in seen or seen.add(item))]
'''
FIZZ_PY = '''def fizz(number):
    """"fizz" for multiples of 3, "buzz" of 5, "fizzbuzz" of both, else the number as text."""
    if number % 15 == 0:
        return "fizzbuzz"
    if number % 3 == 0:
        return "fizz"
    if number % 5 == 0:
        return "buzz"
    return str(number)
'''
REVIEWS = """id,text
1,Great product and I love it
2,Broke after two days and I want my money back
3,Works perfectly and is very easy to use
4,Terrible quality and the worst purchase ever
5,I am very happy with it
6,It never worked and nobody answered my mails
"""
TICKETS = """id,text
11,I was charged twice for my March subscription
12,The app crashes when I open the settings
13,How can I get an invoice for last month?
14,Error 500 when uploading a picture
15,My credit card was refused although it is valid
"""
FRUIT = """id,item
a1,apple
a2,carrot
a3,banana
a4,potato
a5,pear
"""
LINES = """id,line
1,2026-01-01 ERROR cannot open file
2,2026-01-01 INFO started
3,2026-01-02 ERROR connection refused
4,2026-01-02 INFO stopped
5,2026-01-03 INFO started
"""
TODO_A = """def load(path):
    # TODO: close the file
    return open(path).read()


def save(path, text):
    with open(path, "w") as file:
        file.write(text)
"""
TODO_B = """def area(width, height):
    return width * height
"""
TODO_C = """def send(message):
    print(message)


def wait(seconds):
    # TODO: wait without blocking
    import time

    time.sleep(seconds)
"""

_ORIGINAL = {
    "temps.py": TEMPS_PY,
    "words.py": WORDS_PY,
    "bank.py": BANK_PY,
    "geo.py": GEO_PY,
    "orders.py": ORDERS_PY,
    "queue_list.py": QUEUE_PY,
    "mailer.py": MAILER_PY,
    "tax.py": TAX_PY,
    "clamp.py": CLAMP_PY,
    "roman.py": ROMAN_PY,
    "dedupe.py": DEDUPE_PY,
    "fizz.py": FIZZ_PY,
}


# The tasks


def _ask(
    half: Half, name: str, file: str, text: str, task: str, check: Check, kind: str = "question"
) -> Case:
    call = {"task": task, "files": [file], "max_output": 200}
    return Case(name=name, kind=kind, half=half, files={file: text}, call=call, check=check)


def _data(half: Half, name: str, file: str, text: str, task: str, schema: Any, wanted: object) -> Case:
    call = {"task": task, "files": [file], "schema": schema, "max_output": 300}
    return Case(name=name, kind="extract", half=half, files={file: text}, call=call, check=holds(wanted))


def _rows(half: Half, name: str, text: str, task: str, labels: Mapping[str, str], wrong: int) -> Case:
    row = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "label": {"enum": sorted(set(labels.values()))}},
        "required": ["id", "label"],
    }
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": row}}, "required": ["rows"]}
    call = {"task": task, "files": ["rows.csv"], "schema": schema, "max_output": 300}
    check = labelled(labels, wrong)
    return Case(name=name, kind="classify", half=half, files={"rows.csv": text}, call=call, check=check)


def _quote(half: Half, name: str, file: str, text: str, task: str, *spans: str) -> Case:
    call = {"task": task, "files": [file], "gate": "quotes", "max_output": 200}
    return Case(name=name, kind="quotes", half=half, files={file: text}, call=call, check=quotes(*spans))


def _edit(
    half: Half, name: str, kind: str, file: str, text: str, task: str, check: Check, gate: object = None
) -> Case:
    call = {"task": task, "files": [file], "write": "edits", "gate": gate, "max_output": 600}
    return Case(name=name, kind=kind, half=half, files={file: text}, call=call, check=check)


def _fix(half: Half, module: str, text: str, test: str, task: str, hidden: str) -> Case:
    file, tests = f"{module}.py", f"check_{module}.py"
    call = {
        "task": task,
        "files": [file, tests],
        "write": "edits",
        "gate": {"command": f"python3 {tests}"},
        "max_output": 500,
    }
    check = behaves(file, test.partition("\n")[2] + "\n" + hidden)
    return Case(
        name=f"fix-{module}", kind="fix", half=half, files={file: text, tests: test}, call=call, check=check
    )


def _test(half: Half, module: str, text: str, gated: bool, *broken: tuple[str, str]) -> Case:
    file, test = f"{module}.py", f"test_{module}.py"
    task = f"Write a pytest test file for the function in {file}: three or more cases, edge cases among them."
    gate = {"command": f"python3 -m pytest -q -p no:cacheprovider {test}"} if gated else None
    call = {"task": task, "files": [file], "write": test, "gate": gate, "max_output": 500}
    check = tests_tell(test, file, *broken)
    return Case(name=f"tests-{module}", kind="tests", half=half, files={file: text}, call=call, check=check)


def _map(half: Half, name: str, task: str, check: Check) -> Case:
    files = {"a.py": TODO_A, "b.py": TODO_B, "c.py": TODO_C}
    call = {"task": task, "files": list(files)}
    return Case(name=name, kind="map", half=half, files=files, call=call, check=check, tool="delegate_map")


def _object(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_TEXT = {"type": "string"}
_DOC = "Add a docstring to every function that says what it does. Change nothing else."

CASES: tuple[Case, ...] = (
    # question
    _ask(
        "tune",
        "ask-port",
        "service.toml",
        SERVICE_TOML,
        "Which port does the server listen on?",
        says(r"\b8443\b", no=[r"9100"]),
    ),
    _ask(
        "tune",
        "ask-version",
        "CHANGELOG.md",
        CHANGELOG,
        "In which version was support for Python 3.8 dropped?",
        says(r"2\.3\.0", no=[r"2\.4\.0", r"2\.2\.1"]),
    ),
    _ask(
        "tune",
        "ask-empty",
        "sizes.py",
        SIZES_PY,
        "What does parse_size return for an empty string?",
        says(r"\b(0|zero)\b"),
    ),
    _ask(
        "report",
        "count-log",
        "app.log",
        APP_LOG,
        "How many lines of this log have the level ERROR? Answer with the number.",
        says(r"\b(3|three)\b", no=[r"\b(2|4|5|6|7|10)\b(?!\d)"], most=300),
    ),
    _ask(
        "report",
        "list-functions",
        "stock.py",
        STOCK_PY,
        "List the names of the functions that this file defines at module level, one a line.",
        says(r"\bload\b", r"\bmissing\b", r"\brestock\b", no=[r"__init__", r"read_text"], most=200),
    ),
    _ask(
        "report",
        "explain",
        "backoff.py",
        BACKOFF_PY,
        "Explain in two or three sentences what the function call does.",
        some_of(
            3,
            r"retr|again|repeat|attempt",
            r"connectionerror|connection error|connection",
            r"wait|sleep|delay|back-?off|pause",
            r"exponential|doubl|increas|longer",
        ),
    ),
    _ask(
        "report",
        "ask-schedule",
        "crew.ini",
        CREW_INI,
        "At what time do the reports run?",
        says(r"0?6:00", no=[r"02:30"]),
    ),
    # extract
    _data(
        "tune",
        "contacts",
        "team.txt",
        CONTACTS,
        "List every person with name and e-mail address.",
        _object(people={"type": "array", "items": _object(name=_TEXT, email=_TEXT)}),
        {
            "people": [
                {"name": "Mara Lindt", "email": "mara.lindt@example.org"},
                {"name": "Tom Okafor", "email": "tom@example.org"},
                {"name": "Iris Vale", "email": "iris.vale@example.com"},
            ]
        },
    ),
    _data(
        "tune",
        "invoice",
        "invoice.txt",
        INVOICE,
        "Read the invoice.",
        _object(number=_TEXT, date=_TEXT, total={"type": "number"}),
        {"number": "INV-20817", "date": "2026-02-14", "total": 372.4},
    ),
    _data(
        "tune",
        "codes",
        "copy.txt",
        ERRORS_TXT,
        "List each error code once.",
        _object(codes={"type": "array", "items": _TEXT}),
        {"codes": ["E104", "E220", "E301"]},
    ),
    _data(
        "report",
        "meeting",
        "notes.txt",
        MEETING,
        "Who was present, and when is the next meeting?",
        _object(present={"type": "array", "items": _TEXT}, next_meeting=_TEXT),
        {"present": ["Ana", "Bo", "Chidi"], "next_meeting": "2026-05-20"},
    ),
    _data(
        "report",
        "package",
        "package.json",
        PACKAGE,
        "Give the package's name, its version and the names of its dependencies, development ones not included.",
        _object(name=_TEXT, version=_TEXT, dependencies={"type": "array", "items": _TEXT}),
        {"name": "shop-front", "version": "1.8.2", "dependencies": ["react", "zod"]},
    ),
    _data(
        "report",
        "trains",
        "trains.html",
        TRAINS,
        "List all trains.",
        _object(trains={"type": "array", "items": _object(train=_TEXT, to=_TEXT, leaves=_TEXT)}),
        {
            "trains": [
                {"train": "IC 804", "to": "Bergen", "leaves": "07:15"},
                {"train": "RE 31", "to": "Voss", "leaves": "07:50"},
                {"train": "IC 812", "to": "Oslo", "leaves": "09:05"},
            ]
        },
    ),
    # summary
    _ask(
        "tune",
        "sum-incident",
        "incident.txt",
        INCIDENT,
        "Summarize this report in one or two sentences.",
        some_of(
            3,
            r"certificate",
            r"expired|expir",
            r"checkout|shop|payment",
            r"47|unavailable|outage",
            longest=450,
        ),
        "summary",
    ),
    _ask(
        "tune",
        "sum-library",
        "library.txt",
        LIBRARY,
        "Summarize this text in one or two sentences.",
        some_of(3, r"library", r"reopen|open", r"renovat", r"children|lift|windows|space", longest=400),
        "summary",
    ),
    _ask(
        "report",
        "sum-release",
        "release.txt",
        RELEASE,
        "Summarize the changes in at most two sentences.",
        some_of(3, r"folder", r"plugin", r"search|faster", r"convert|\.bak|version 5", longest=450),
        "summary",
    ),
    _ask(
        "report",
        "sum-heat",
        "heat.txt",
        HEAT,
        "Summarize in one sentence how a heat pump works.",
        some_of(3, r"heat", r"outside|air", r"refrigerant|compress", r"water|building|heating", longest=400),
        "summary",
    ),
    # quotes
    _quote(
        "tune",
        "quote-pets",
        "contract.txt",
        CONTRACT,
        "Quote the sentence about pets.",
        "Pets are allowed only with the written consent of the landlord",
    ),
    _quote(
        "tune",
        "quote-tank",
        "manual.txt",
        MANUAL,
        "What must not be put into the dishwasher? Quote the sentence that says so.",
        "Never put the water tank into the dishwasher",
    ),
    _quote(
        "report",
        "quote-hotel",
        "policy.txt",
        POLICY_TXT,
        "Quote the rule that says how much a hotel room may cost.",
        "Hotel rooms may cost up to 130 euros a night",
    ),
    _quote(
        "report",
        "quote-dogs",
        "rules.txt",
        RULES_TXT,
        "Which rules are about dogs and about children? Quote both.",
        "Dogs must be kept on a lead",
        "Children under twelve need a grown-up with them",
    ),
    # docstrings
    _edit("tune", "doc-temps", "docstrings", "temps.py", TEMPS_PY, _DOC, documented("temps.py")),
    _edit("tune", "doc-words", "docstrings", "words.py", WORDS_PY, _DOC, documented("words.py")),
    _edit(
        "report",
        "doc-bank",
        "docstrings",
        "bank.py",
        BANK_PY,
        "Give each method a one-line docstring. Leave the code as it is.",
        documented("bank.py"),
    ),
    _edit(
        "report",
        "doc-geo",
        "docstrings",
        "geo.py",
        GEO_PY,
        "Write a docstring for every function.",
        documented("geo.py"),
    ),
    # fix
    _fix(
        "tune",
        "leap",
        LEAP_PY,
        LEAP_TEST,
        "Years divisible by 100 are leap years only when divisible by 400. Fix is_leap.",
        "assert not is_leap(2100) and is_leap(2400) and is_leap(1996)",
    ),
    _fix(
        "tune",
        "chunk",
        CHUNK_PY,
        CHUNK_TEST,
        "chunks loses the last items. Fix it.",
        "assert chunks([1], 5) == [[1]] and chunks(list(range(7)), 3) == [[0, 1, 2], [3, 4, 5], [6]]",
    ),
    _fix(
        "tune",
        "grade",
        GRADE_PY,
        GRADE_TEST,
        "The limits count as reached: 90 points are an A, 75 a B, 50 a C. Fix grade.",
        'assert grade(89) == "B" and grade(100) == "A" and grade(74) == "C"',
    ),
    _fix(
        "tune",
        "cart",
        CART_PY,
        CART_TEST,
        "total ignores how many of each article there are. Fix it.",
        'assert total([("x", 3, 4)], 0.25) == 9 and total([]) == 0',
    ),
    _fix(
        "report",
        "initials",
        INITIALS_PY,
        INITIALS_TEST,
        "initials must give capital letters and cope with extra spaces. Fix it.",
        'assert initials("a b c") == "ABC"',
    ),
    _fix(
        "report",
        "median",
        MEDIAN_PY,
        MEDIAN_TEST,
        "For an even number of values the median is the mean of the two middle ones. Fix median.",
        "assert median([1, 3]) == 2 and median([7]) == 7 and spread([2, 9, 4]) == 7",
    ),
    _fix(
        "report",
        "slug",
        SLUG_PY,
        SLUG_TEST,
        "slug leaves double dashes and dashes at both ends. Fix it so that check_slug.py passes.",
        'assert slug("A -- B") == "a-b" and slug("x") == "x"',
    ),
    # rename
    _edit(
        "tune",
        "rename-calc",
        "rename",
        "orders.py",
        ORDERS_PY,
        "Rename the function calc to line_total everywhere.",
        renamed("orders.py", "calc", "line_total"),
    ),
    _edit(
        "tune",
        "rename-lst",
        "rename",
        "queue_list.py",
        QUEUE_PY,
        "Rename the attribute lst to items.",
        renamed("queue_list.py", "lst", "items"),
    ),
    _edit(
        "report",
        "rename-snd",
        "rename",
        "mailer.py",
        MAILER_PY,
        "Rename snd to send_one, its calls too.",
        renamed("mailer.py", "snd", "send_one"),
    ),
    _edit(
        "report",
        "rename-rt",
        "rename",
        "tax.py",
        TAX_PY,
        "Rename the parameter rt to rate in both functions.",
        renamed("tax.py", "rt", "rate"),
    ),
    # test file
    _test("tune", "clamp", CLAMP_PY, False, ("max(low, min(value, high))", "min(value, high)")),
    _test("tune", "dedupe", DEDUPE_PY, True, ("not (item in seen or seen.add(item))", "True")),
    _test("report", "roman", ROMAN_PY, True, ('(4, "IV"), ', ""), ('"M"), (900', '"X"), (900')),
    _test("report", "fizz", FIZZ_PY, False, ('return "buzz"', 'return "fizz"')),
    # classify
    _rows(
        "tune",
        "reviews",
        REVIEWS,
        "Classify each row: positive or negative?",
        {
            "1": "positive",
            "2": "negative",
            "3": "positive",
            "4": "negative",
            "5": "positive",
            "6": "negative",
        },
        0,
    ),
    Case(
        name="fruit",
        kind="classify",
        half="tune",
        files={"rows.csv": FRUIT},
        call={
            "task": "Write one line per row, its id and its label: fruit or vegetable. The form is id,label.",
            "files": ["rows.csv"],
            "write": "labels.csv",
            "max_output": 150,
        },
        check=labelled_csv(
            "labels.csv", {"a1": "fruit", "a2": "vegetable", "a3": "fruit", "a4": "vegetable", "a5": "fruit"}
        ),
    ),
    _rows(
        "report",
        "tickets",
        TICKETS,
        "Classify each ticket: billing or technical?",
        {"11": "billing", "12": "technical", "13": "billing", "14": "technical", "15": "billing"},
        0,
    ),
    _rows(
        "report",
        "levels",
        LINES,
        "Label each row with its level: error or info.",
        {"1": "error", "2": "info", "3": "error", "4": "info", "5": "info"},
        0,
    ),
    # map
    _map(
        "tune",
        "map-todo",
        "Which TODO comments are in this file? Give each with its text.",
        says(r"close the file", r"wait without blocking", no=[r"width"], most=700),
    ),
    _map(
        "report",
        "map-functions",
        "Name the functions defined in this file.",
        says(r"\bload\b", r"\bsave\b", r"\barea\b", r"\bsend\b", r"\bwait\b", most=900),
    ),
)
