"""Small everyday tasks that reported once: their answers were read and gates changed after them, so they are for tuning since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.real_checks import (
    A_TEXT,
    Case,
    an_object,
    ask,
    data,
    documented,
    edit,
    fix,
    mapped,
    quote,
    renamed,
    rows,
    says,
    shorter,
    some_of,
    test_file,
    tests_tell,
)

GATEWAY_LOG = """[12:00:03] gw-2 open session 71
[12:00:09] gw-1 open session 72
[12:00:31] gw-2 DENIED user=kim reason=password
[12:01:12] gw-1 close session 72
[12:01:44] gw-2 DENIED user=kim reason=password
[12:02:20] gw-1 open session 73
[12:02:58] gw-1 DENIED user=root reason=policy
[12:03:00] gw-2 close session 71
[12:03:33] gw-2 DENIED user=ola reason=expired
[12:04:10] gw-1 close session 73
"""
BUILD_LOG = """step 1 checkout: ok in 3 s
step 2 compile: ok in 41 s
step 2 compile: warning unused variable 'left'
step 3 link: ok in 6 s
step 4 tests: failed test_ports
step 4 tests: failed test_names
step 5 package: skipped
"""
ENV = """# deployment
APP_MODE=production
DATABASE_URL=postgres://db.internal:5433/shop
CACHE_TTL=900
MAX_UPLOAD_MB=25
LOG_FORMAT=json
"""
HOURS = """Opening hours of the swimming pool

Monday is the day of cleaning, the pool is closed.
From Tuesday to Friday it opens at 6.30 and closes at 21.00.
At the weekend it opens at 9.00 and closes at 18.00.
The sauna opens two hours after the pool.
"""
GEOMETRY_PY = '''"""Plane figures."""

import math


class Circle:
    def __init__(self, radius):
        self.radius = radius

    def area(self):
        return math.pi * self.radius**2


def perimeter(sides):
    return sum(sides)


def is_triangle(a, b, c):
    return a + b > c and a + c > b and b + c > a


def diagonal(width, height):
    return math.sqrt(width**2 + height**2)
'''
FEED_PY = """import csv


def read_feed(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def newest(rows):
    return max(rows, key=lambda row: row["date"])


def by_author(rows, author):
    return [row for row in rows if row["author"] == author]
"""
MEMO_PY = """def remember(function):
    known = {}

    def inner(*arguments):
        if arguments not in known:
            known[arguments] = function(*arguments)
        return known[arguments]

    return inner
"""
ROTATE_PY = """import gzip
import os


def rotate(path, keep=3):
    for number in range(keep - 1, 0, -1):
        older = f"{path}.{number}.gz"
        if os.path.exists(older):
            os.replace(older, f"{path}.{number + 1}.gz")
    with open(path, "rb") as source, gzip.open(f"{path}.1.gz", "wb") as packed:
        packed.write(source.read())
    open(path, "w").close()
"""
BOOKING = """Dear guest,

thank you for your booking at Hotel Seeblick. Your reservation code is HS-4417Q.
Arrival: 2026-07-03, departure: 2026-07-08. You have booked 1 double room for 5 nights.
The price per night is 94.50 EUR including breakfast.
"""
RACE = """Half marathon, women, results

1. Sofie Brandt (Aarhus) 1:14:22
2. Nadia El-Amin (Lyon) 1:15:08
3. Kirsten Vogel (Graz) 1:15:51
"""
COMPOSE = """services:
  web:
    image: shop/web:3.2
    ports: ["8080:80"]
  queue:
    image: rabbitmq:3.13
  store:
    image: postgres:16
    volumes: ["data:/var/lib/postgresql"]
"""
BEES = """Since spring the roof of the city hall has been home to four bee colonies. A local beekeeper looks after them once a week.
In their first season the bees made 60 kilograms of honey, which is sold in the tourist office for charity. There were no
complaints about stings. Because the trial went well, the council has decided to put six more hives on the roofs of two schools
next year, and pupils will be able to help with the harvest.
"""
OUTAGE = """Last night's backup of the customer database did not finish. The disk on which backups are kept was full, because old copies
were no longer deleted since the clean-up job had been switched off during maintenance in May and never switched on again. The
team has removed copies older than 60 days, started the job again and run the backup by hand this morning; it finished without
errors. From now on a warning is sent when the disk is more than 80 percent full.
"""
LEASE = """Terms of the bicycle hire

Bicycles are returned by eight in the evening of the same day.
A helmet is lent free of charge with every bicycle.
Punctures are repaired by the shop at no cost.
Whoever loses the key pays 25 euros.
Children may ride in a trailer, never on the carrier.
"""
LAB = """Rules of the laboratory

Eating and drinking are forbidden in all rooms with chemicals.
Safety glasses are worn from the door on.
Broken glass goes into the blue bin.
Work with solvents takes place under the hood only.
The last person to leave closes the gas valve.
"""
TEXTS_PY = """def shorten(text, width):
    return text if len(text) <= width else text[: width - 1] + "~"


def count_words(text):
    return len(text.split())


def without_tags(text):
    import re

    return re.sub(r"<[^>]+>", "", text)
"""
TIMER_PY = """import time


class Timer:
    def start(self):
        self.began = time.monotonic()

    def elapsed(self):
        return time.monotonic() - self.began

    def lap(self):
        took = self.elapsed()
        self.start()
        return took
"""
PRIMES_PY = """def is_prime(number):
    for divisor in range(2, number):
        if number % divisor == 0:
            return False
    return True
"""
PRIMES_TEST = """from primes import is_prime

assert is_prime(2)
assert is_prime(13)
assert not is_prime(9)
assert not is_prime(1)
assert not is_prime(0)
"""
WRAP_PY = '''def wrap(words, width):
    """Lines of at most `width` characters, words parted by one space."""
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = line + " " + word if line else word
    lines.append(line)
    return lines
'''
WRAP_TEST = """from wrap import wrap

assert wrap(["aa", "bb", "cc"], 5) == ["aa bb", "cc"]
assert wrap(["aaa", "bb", "c"], 5) == ["aaa", "bb c"]
assert wrap(["one"], 10) == ["one"]
"""
VERSION_PY = """def newer(a, b):
    return a > b


def major(version):
    return int(version.split(".")[0])
"""
VERSION_TEST = """from version import major, newer

assert newer("2.0.0", "1.9.9")
assert newer("1.10.0", "1.9.0")
assert not newer("1.2.3", "1.2.3")
assert major("3.1.4") == 3
"""
LEDGER_PY = """class Ledger:
    def __init__(self):
        self.rws = []

    def add(self, day, amount):
        self.rws.append((day, amount))

    def total(self):
        return sum(amount for _, amount in self.rws)

    def days(self):
        return sorted({day for day, _ in self.rws})
"""
PATHS_PY = """import os


def mk(folder):
    os.makedirs(folder, exist_ok=True)
    return folder


def prepare(base):
    return [mk(os.path.join(base, name)) for name in ("in", "out", "tmp")]


def fresh(base):
    folder = mk(os.path.join(base, "new"))
    return folder, os.listdir(folder)
"""
CAESAR_PY = '''def caesar(text, shift):
    """Small letters moved on by `shift` in the alphabet, z followed by a; all else unchanged."""
    moved = ""
    for letter in text:
        if "a" <= letter <= "z":
            moved += chr((ord(letter) - 97 + shift) % 26 + 97)
        else:
            moved += letter
    return moved
'''
LIMIT_PY = '''def allowed(age, member):
    """Whether somebody may enter: members from 16 years on, others from 18 on."""
    if member:
        return age >= 16
    return age >= 18
'''
MAILS = """id,subject
m1,Win a free phone now!!! Click here
m2,Minutes of Tuesday's meeting
m3,You have been selected for a cash prize
m4,Your lunch order for tomorrow
m5,Cheap pills without prescription
m6,Draft of the quarterly report
"""
ANIMALS = """id,animal
k1,salmon
k2,eagle
k3,trout
k4,sparrow
k5,owl
"""
PIECES = {
    "web.py": """ROUTES = {}


def route(path):
    def add(function):
        ROUTES[path] = function
        return function

    return add


# FIXME: paths with a slash at the end
def find(path):
    return ROUTES.get(path)
""",
    "cli.py": """import sys


def main():
    # FIXME: print usage when there is no argument
    print(sys.argv[1].upper())
""",
    "colours.py": """RED = "#ff0000"
GREEN = "#00ff00"


def mix(a, b):
    return a if a == b else "#888888"
""",
}

EXPLAIN = "Say in two sentences what"


def _module_tests(
    module: str, text: str, task: str, gate: Mapping[str, Any] | None, *broken: tuple[str, str]
) -> Case:
    """A test file asked for in other words."""
    file, test = f"{module}.py", f"test_{module}.py"
    call = {"task": task, "files": [file], "write": test, "gate": gate, "max_output": 500}
    return Case(
        name=f"tests-{module}",
        kind="tests",
        half="earlier",
        files={file: text},
        call=call,
        check=tests_tell(test, file, text, *broken),
    )


EARLIER: tuple[Case, ...] = (
    # count in a log
    ask(
        "earlier",
        "count-denied",
        "gateway.log",
        GATEWAY_LOG,
        "How often does the word DENIED occur in this log? Give just the number.",
        says(r"\b(4|four)\b", no=[r"\b(1|2|3|5|6|7|8|9|10)\b(?![\d:\]])"], most=300),
        "count",
    ),
    ask(
        "earlier",
        "count-failed",
        "build.log",
        BUILD_LOG,
        "How many tests failed in this build?",
        says(r"\b(2|two)\b", no=[r"\b(1|3|5|6|7|one|three)\b (?:tests?|failed)"], most=300),
        "count",
    ),
    # list functions
    ask(
        "earlier",
        "list-geometry",
        "geometry.py",
        GEOMETRY_PY,
        "Name all top-level functions of this module (no methods, no classes).",
        says(r"\bperimeter\b", r"\bis_triangle\b", r"\bdiagonal\b", no=[r"__init__", r"\barea\b"], most=250),
        "list",
    ),
    ask(
        "earlier",
        "list-feed",
        "feed.py",
        FEED_PY,
        "Which functions are there in this file? One name per line.",
        says(r"\bread_feed\b", r"\bnewest\b", r"\bby_author\b", no=[r"dictreader"], most=250),
        "list",
    ),
    # explain
    ask(
        "earlier",
        "explain-memo",
        "memo.py",
        MEMO_PY,
        f"{EXPLAIN} the decorator remember is for.",
        some_of(
            2,
            r"cach|memo|stor|remember|sav",
            r"result|return value|value|output",
            r"argument|input|again|same|repeat",
        ),
        "explain",
    ),
    ask(
        "earlier",
        "explain-rotate",
        "rotate.py",
        ROTATE_PY,
        f"{EXPLAIN} rotate does with the file at path.",
        some_of(
            3,
            r"compress|gzip|\.gz|pack",
            r"renam|shift|mov|rotat|number",
            r"empt|clear|truncat|overwrit",
            r"keep|older|backup|copies",
        ),
        "explain",
    ),
    # question
    ask(
        "earlier",
        "ask-db-port",
        "settings.env",
        ENV,
        "On which port is the database reached?",
        says(r"\b5433\b", no=[r"\b900\b", r"\b25\b"]),
    ),
    ask(
        "earlier",
        "ask-pool",
        "hours.txt",
        HOURS,
        "When does the pool close on Sundays?",
        says(r"18[.:]00|\b6 ?p\.?m|\b18\b", no=[r"21[.:]00"]),
    ),
    # extraction
    data(
        "earlier",
        "booking",
        "booking.txt",
        BOOKING,
        "Extract the booking.",
        an_object(
            code=A_TEXT,
            arrival=A_TEXT,
            departure=A_TEXT,
            nights={"type": "integer"},
            price={"type": "number"},
        ),
        {"code": "HS-4417Q", "arrival": "2026-07-03", "departure": "2026-07-08", "nights": 5, "price": 94.5},
    ),
    data(
        "earlier",
        "race",
        "race.txt",
        RACE,
        "Extract every runner with her town and her time.",
        an_object(runners={"type": "array", "items": an_object(name=A_TEXT, town=A_TEXT, time=A_TEXT)}),
        {
            "runners": [
                {"name": "Sofie Brandt", "town": "Aarhus", "time": "1:14:22"},
                {"name": "Nadia El-Amin", "town": "Lyon", "time": "1:15:08"},
                {"name": "Kirsten Vogel", "town": "Graz", "time": "1:15:51"},
            ]
        },
    ),
    data(
        "earlier",
        "compose",
        "compose.yml",
        COMPOSE,
        "Which images do the services use?",
        an_object(services={"type": "array", "items": an_object(name=A_TEXT, image=A_TEXT)}),
        {
            "services": [
                {"name": "web", "image": "shop/web:3.2"},
                {"name": "queue", "image": "rabbitmq:3.13"},
                {"name": "store", "image": "postgres:16"},
            ]
        },
    ),
    # summary
    ask(
        "earlier",
        "sum-bees",
        "bees.txt",
        BEES,
        "Give the gist of this article in no more than two sentences.",
        some_of(3, r"bee", r"honey|60", r"school|six more|hive", r"city hall|roof", longest=shorter(BEES)),
        "summary",
    ),
    ask(
        "earlier",
        "sum-outage",
        "backup.txt",
        OUTAGE,
        "Summarize what happened and why, in two sentences at most.",
        some_of(
            3,
            r"backup",
            r"disk|full|space",
            r"clean-?up|job|delet",
            r"warning|80|removed|again",
            longest=shorter(OUTAGE),
        ),
        "summary",
    ),
    # quotes
    quote(
        "earlier",
        "quote-key",
        "hire.txt",
        LEASE,
        "What happens when a key is lost? Answer with the exact sentence.",
        "Whoever loses the key pays 25 euros",
    ),
    quote(
        "earlier",
        "quote-lab",
        "lab.txt",
        LAB,
        "Quote the two rules that deal with broken glass and with solvents.",
        "Broken glass goes into the blue bin",
        "Work with solvents takes place under the hood only",
    ),
    # docstrings
    edit(
        "earlier",
        "doc-texts",
        "docstrings",
        "texts.py",
        TEXTS_PY,
        "Please document each function of this file with a short docstring.",
        documented("texts.py", TEXTS_PY),
    ),
    edit(
        "earlier",
        "doc-timer",
        "docstrings",
        "timer.py",
        TIMER_PY,
        "All methods of Timer need docstrings of one sentence; touch nothing else.",
        documented("timer.py", TIMER_PY),
    ),
    # fix under tests
    fix(
        "earlier",
        "primes",
        PRIMES_PY,
        PRIMES_TEST,
        "is_prime says that 0 and 1 are primes. Correct it.",
        "assert not is_prime(-7) and is_prime(97) and not is_prime(91) and is_prime(3)",
    ),
    fix(
        "earlier",
        "wrap",
        WRAP_PY,
        WRAP_TEST,
        "wrap makes lines that are one too long, as it forgets the space. Repair it.",
        'assert wrap(["ab", "cd", "ef", "gh"], 8) == ["ab cd ef", "gh"] and wrap(["abc", "de"], 6) == ["abc de"]',
    ),
    fix(
        "earlier",
        "version",
        VERSION_PY,
        VERSION_TEST,
        "newer compares versions as texts, so 1.10.0 counts as older than 1.9.0. It has to compare the numbers.",
        'assert newer("10.0.0", "9.9.9") and not newer("1.2", "1.10") and newer("1.2.10", "1.2.9")',
    ),
    # rename
    edit(
        "earlier",
        "rename-rws",
        "rename",
        "ledger.py",
        LEDGER_PY,
        "The attribute rws should be called entries. Rename it.",
        renamed("ledger.py", LEDGER_PY, "rws", "entries"),
    ),
    edit(
        "earlier",
        "rename-mk",
        "rename",
        "folders.py",
        PATHS_PY,
        "Change the name of the function mk into make_folder, wherever it is used.",
        renamed("folders.py", PATHS_PY, "mk", "make_folder"),
    ),
    # test file
    _module_tests(
        "caesar",
        CAESAR_PY,
        "Write tests for caesar with pytest: usual shifts, a shift over z, characters that stay.",
        None,
        ("% 26", "% 27"),
        ("moved += letter", "pass"),
    ),
    test_file(
        "earlier", "limit", LIMIT_PY, True, ("age >= 16", "age >= 18"), ("return age >= 18", "return True")
    ),
    # classification
    rows(
        "earlier",
        "spam",
        MAILS,
        "Is each of these mails spam or ham? Label every row.",
        {"m1": "spam", "m2": "ham", "m3": "spam", "m4": "ham", "m5": "spam", "m6": "ham"},
        0,
    ),
    rows(
        "earlier",
        "animals",
        ANIMALS,
        "Sort the rows into the groups fish and bird.",
        {"k1": "fish", "k2": "bird", "k3": "fish", "k4": "bird", "k5": "bird"},
        0,
    ),
    # map
    mapped(
        "earlier",
        "map-fixme",
        PIECES,
        "Find the FIXME comments of this file and give their text.",
        says(r"slash at the end", r"usage when there is no argument", no=[r"888888"], most=700),
    ),
    mapped(
        "earlier",
        "map-purpose",
        PIECES,
        "In one sentence: what is this file for?",
        some_of(3, r"rout|path", r"argument|command|upper|argv", r"colou?r|mix", shortest=60, longest=1400),
    ),
)
