"""Small everyday tasks for real workers that prompts, forms and gates were chosen by; real_report.py has those for reporting."""

from __future__ import annotations

from benchmarks.real_checks import (
    A_TEXT,
    Case,
    an_object,
    ask,
    data,
    documented,
    edit,
    fix,
    labelled_csv,
    mapped,
    quote,
    renamed,
    rows,
    says,
    shorter,
    some_of,
    test_file,
)

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

TODO_FILES = {"a.py": TODO_A, "b.py": TODO_B, "c.py": TODO_C}
DOCUMENT_ALL = "Add a docstring to every function that says what it does. Change nothing else."


TUNING: tuple[Case, ...] = (
    # question
    ask(
        "tune",
        "ask-port",
        "service.toml",
        SERVICE_TOML,
        "Which port does the server listen on?",
        says(r"\b8443\b", no=[r"9100"]),
    ),
    ask(
        "tune",
        "ask-version",
        "CHANGELOG.md",
        CHANGELOG,
        "In which version was support for Python 3.8 dropped?",
        says(r"2\.3\.0", no=[r"2\.4\.0", r"2\.2\.1"]),
    ),
    ask(
        "tune",
        "ask-empty",
        "sizes.py",
        SIZES_PY,
        "What does parse_size return for an empty string?",
        says(r"\b(0|zero)\b"),
    ),
    ask(
        "tune",
        "count-log",
        "app.log",
        APP_LOG,
        "How many lines of this log have the level ERROR? Answer with the number.",
        says(r"\b(3|three)\b", no=[r"\b(2|4|5|6|7|10)\b(?!\d)"], most=300),
    ),
    ask(
        "tune",
        "list-functions",
        "stock.py",
        STOCK_PY,
        "List the names of the functions that this file defines at module level, one a line.",
        says(r"\bload\b", r"\bmissing\b", r"\brestock\b", no=[r"__init__", r"read_text"], most=200),
    ),
    ask(
        "tune",
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
    ask(
        "tune",
        "ask-schedule",
        "crew.ini",
        CREW_INI,
        "At what time do the reports run?",
        says(r"0?6:00", no=[r"02:30"]),
    ),
    # extract
    data(
        "tune",
        "contacts",
        "team.txt",
        CONTACTS,
        "List every person with name and e-mail address.",
        an_object(people={"type": "array", "items": an_object(name=A_TEXT, email=A_TEXT)}),
        {
            "people": [
                {"name": "Mara Lindt", "email": "mara.lindt@example.org"},
                {"name": "Tom Okafor", "email": "tom@example.org"},
                {"name": "Iris Vale", "email": "iris.vale@example.com"},
            ]
        },
    ),
    data(
        "tune",
        "invoice",
        "invoice.txt",
        INVOICE,
        "Read the invoice.",
        an_object(number=A_TEXT, date=A_TEXT, total={"type": "number"}),
        {"number": "INV-20817", "date": "2026-02-14", "total": 372.4},
    ),
    data(
        "tune",
        "codes",
        "copy.txt",
        ERRORS_TXT,
        "List each error code once.",
        an_object(codes={"type": "array", "items": A_TEXT}),
        {"codes": ["E104", "E220", "E301"]},
    ),
    data(
        "tune",
        "meeting",
        "notes.txt",
        MEETING,
        "Who was present, and when is the next meeting?",
        an_object(present={"type": "array", "items": A_TEXT}, next_meeting=A_TEXT),
        {"present": ["Ana", "Bo", "Chidi"], "next_meeting": "2026-05-20"},
    ),
    data(
        "tune",
        "package",
        "package.json",
        PACKAGE,
        "Give the package's name, its version and the names of its dependencies, development ones not included.",
        an_object(name=A_TEXT, version=A_TEXT, dependencies={"type": "array", "items": A_TEXT}),
        {"name": "shop-front", "version": "1.8.2", "dependencies": ["react", "zod"]},
    ),
    data(
        "tune",
        "trains",
        "trains.html",
        TRAINS,
        "List all trains.",
        an_object(trains={"type": "array", "items": an_object(train=A_TEXT, to=A_TEXT, leaves=A_TEXT)}),
        {
            "trains": [
                {"train": "IC 804", "to": "Bergen", "leaves": "07:15"},
                {"train": "RE 31", "to": "Voss", "leaves": "07:50"},
                {"train": "IC 812", "to": "Oslo", "leaves": "09:05"},
            ]
        },
    ),
    # summary
    ask(
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
            longest=shorter(INCIDENT),
        ),
        "summary",
    ),
    ask(
        "tune",
        "sum-library",
        "library.txt",
        LIBRARY,
        "Summarize this text in one or two sentences.",
        some_of(
            3,
            r"library",
            r"reopen|open",
            r"renovat",
            r"children|lift|windows|space",
            longest=shorter(LIBRARY),
        ),
        "summary",
    ),
    ask(
        "tune",
        "sum-release",
        "release.txt",
        RELEASE,
        "Summarize the changes in at most two sentences.",
        some_of(
            3, r"folder", r"plugin", r"search|faster", r"convert|\.bak|version 5", longest=shorter(RELEASE)
        ),
        "summary",
    ),
    ask(
        "tune",
        "sum-heat",
        "heat.txt",
        HEAT,
        "Summarize in one sentence how a heat pump works.",
        some_of(
            3,
            r"heat",
            r"outside|air",
            r"refrigerant|compress",
            r"water|building|heating",
            longest=shorter(HEAT),
        ),
        "summary",
    ),
    # quotes
    quote(
        "tune",
        "quote-pets",
        "contract.txt",
        CONTRACT,
        "Quote the sentence about pets.",
        "Pets are allowed only with the written consent of the landlord",
    ),
    quote(
        "tune",
        "quote-tank",
        "manual.txt",
        MANUAL,
        "What must not be put into the dishwasher? Quote the sentence that says so.",
        "Never put the water tank into the dishwasher",
    ),
    quote(
        "tune",
        "quote-hotel",
        "policy.txt",
        POLICY_TXT,
        "Quote the rule that says how much a hotel room may cost.",
        "Hotel rooms may cost up to 130 euros a night",
    ),
    quote(
        "tune",
        "quote-dogs",
        "rules.txt",
        RULES_TXT,
        "Which rules are about dogs and about children? Quote both.",
        "Dogs must be kept on a lead",
        "Children under twelve need a grown-up with them",
    ),
    # docstrings
    edit(
        "tune",
        "doc-temps",
        "docstrings",
        "temps.py",
        TEMPS_PY,
        DOCUMENT_ALL,
        documented("temps.py", TEMPS_PY),
    ),
    edit(
        "tune",
        "doc-words",
        "docstrings",
        "words.py",
        WORDS_PY,
        DOCUMENT_ALL,
        documented("words.py", WORDS_PY),
    ),
    edit(
        "tune",
        "doc-bank",
        "docstrings",
        "bank.py",
        BANK_PY,
        "Give each method a one-line docstring. Leave the code as it is.",
        documented("bank.py", BANK_PY),
    ),
    edit(
        "tune",
        "doc-geo",
        "docstrings",
        "geo.py",
        GEO_PY,
        "Write a docstring for every function.",
        documented("geo.py", GEO_PY),
    ),
    # fix
    fix(
        "tune",
        "leap",
        LEAP_PY,
        LEAP_TEST,
        "Years divisible by 100 are leap years only when divisible by 400. Fix is_leap.",
        "assert not is_leap(2100) and is_leap(2400) and is_leap(1996)",
    ),
    fix(
        "tune",
        "chunk",
        CHUNK_PY,
        CHUNK_TEST,
        "chunks loses the last items. Fix it.",
        "assert chunks([1], 5) == [[1]] and chunks(list(range(7)), 3) == [[0, 1, 2], [3, 4, 5], [6]]",
    ),
    fix(
        "tune",
        "grade",
        GRADE_PY,
        GRADE_TEST,
        "The limits count as reached: 90 points are an A, 75 a B, 50 a C. Fix grade.",
        'assert grade(89) == "B" and grade(100) == "A" and grade(74) == "C"',
    ),
    fix(
        "tune",
        "cart",
        CART_PY,
        CART_TEST,
        "total ignores how many of each article there are. Fix it.",
        'assert total([("x", 3, 4)], 0.25) == 9 and total([]) == 0',
    ),
    fix(
        "tune",
        "initials",
        INITIALS_PY,
        INITIALS_TEST,
        "initials must give capital letters and cope with extra spaces. Fix it.",
        'assert initials("a b c") == "ABC"',
    ),
    fix(
        "tune",
        "median",
        MEDIAN_PY,
        MEDIAN_TEST,
        "For an even number of values the median is the mean of the two middle ones. Fix median.",
        "assert median([1, 3]) == 2 and median([7]) == 7 and spread([2, 9, 4]) == 7",
    ),
    fix(
        "tune",
        "slug",
        SLUG_PY,
        SLUG_TEST,
        "slug leaves double dashes and dashes at both ends. Fix it so that check_slug.py passes.",
        'assert slug("A -- B") == "a-b" and slug("x") == "x"',
    ),
    # rename
    edit(
        "tune",
        "rename-calc",
        "rename",
        "orders.py",
        ORDERS_PY,
        "Rename the function calc to line_total everywhere.",
        renamed("orders.py", ORDERS_PY, "calc", "line_total"),
    ),
    edit(
        "tune",
        "rename-lst",
        "rename",
        "queue_list.py",
        QUEUE_PY,
        "Rename the attribute lst to items.",
        renamed("queue_list.py", QUEUE_PY, "lst", "items"),
    ),
    edit(
        "tune",
        "rename-snd",
        "rename",
        "mailer.py",
        MAILER_PY,
        "Rename snd to send_one, its calls too.",
        renamed("mailer.py", MAILER_PY, "snd", "send_one"),
    ),
    edit(
        "tune",
        "rename-rt",
        "rename",
        "tax.py",
        TAX_PY,
        "Rename the parameter rt to rate in both functions.",
        renamed("tax.py", TAX_PY, "rt", "rate"),
    ),
    # test file
    test_file("tune", "clamp", CLAMP_PY, False, ("max(low, min(value, high))", "min(value, high)")),
    test_file("tune", "dedupe", DEDUPE_PY, True, ("not (item in seen or seen.add(item))", "True")),
    test_file("tune", "roman", ROMAN_PY, True, ('(4, "IV"), ', ""), ('"M"), (900', '"X"), (900')),
    test_file("tune", "fizz", FIZZ_PY, False, ('return "buzz"', 'return "fizz"')),
    # classify
    rows(
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
    rows(
        "tune",
        "tickets",
        TICKETS,
        "Classify each ticket: billing or technical?",
        {"11": "billing", "12": "technical", "13": "billing", "14": "technical", "15": "billing"},
        0,
    ),
    rows(
        "tune",
        "levels",
        LINES,
        "Label each row with its level: error or info.",
        {"1": "error", "2": "info", "3": "error", "4": "info", "5": "info"},
        0,
    ),
    # map
    mapped(
        "tune",
        "map-todo",
        TODO_FILES,
        "Which TODO comments are in this file? Give each with its text.",
        says(r"close the file", r"wait without blocking", no=[r"width"], most=700),
    ),
    mapped(
        "tune",
        "map-functions",
        TODO_FILES,
        "Name the functions defined in this file.",
        says(r"\bload\b", r"\bsave\b", r"\barea\b", r"\bsend\b", r"\bwait\b", most=900),
    ),
)
