"""Small everyday tasks that reported once, in other languages than Python: read since, and gates changed after them.

Settings, tables, prose in German; worded as a caller would who has never seen this code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from benchmarks.real_checks import (
    A_TEXT,
    Case,
    Check,
    End,
    an_object,
    ask,
    commented,
    data,
    documented,
    edit,
    fix,
    labelled,
    labelled_csv,
    mapped,
    parsed,
    quote,
    renamed,
    runs_in_node,
    says,
    shorter,
    some_of,
    tests_tell,
    text_is,
)

ACCESS_LOG = """10.0.0.4 - - [02/May/2026:10:11:01] "GET / HTTP/1.1" 200 512
10.0.0.9 - - [02/May/2026:10:11:02] "POST /login HTTP/1.1" 401 88
10.0.0.4 - - [02/May/2026:10:11:05] "GET /cart HTTP/1.1" 200 1401
10.0.0.7 - - [02/May/2026:10:11:09] "GET /img/401.png HTTP/1.1" 404 12
10.0.0.9 - - [02/May/2026:10:11:12] "POST /login HTTP/1.1" 401 88
10.0.0.9 - - [02/May/2026:10:11:40] "POST /login HTTP/1.1" 200 230
"""
PACKING = """# Before the trip

- [x] passport
- [ ] phone charger
- [x] tickets
- [ ] rain jacket
- [ ] first-aid kit
- [x] keys to the cabin
- [ ] maps
"""
ANLAGE_LOG = """06:00:01 INFO Anlage gestartet
06:12:44 WARNUNG Druck niedrig in Kessel 2
06:13:02 INFO Pumpe nachgeregelt
06:40:19 WARNUNG Ventil 7 klemmt
06:41:00 FEHLER Kessel 2 abgeschaltet
07:05:31 WARNUNG Druck niedrig in Kessel 1
07:06:00 INFO Druck wieder normal
"""
MONEY_JS = """const RATES = { EUR: 1, USD: 1.09, CHF: 0.95 };

export function convert(amount, from, to) {
  return (amount / RATES[from]) * RATES[to];
}

export const format = (amount, currency) => `${amount.toFixed(2)} ${currency}`;

function assertKnown(currency) {
  if (!(currency in RATES)) throw new Error(`unknown currency ${currency}`);
}

export function currencies() {
  return Object.keys(RATES);
}
"""
STORE_GO = """package store

import "os"

type Store struct {
	file *os.File
}

func Open(path string) (*Store, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &Store{file: file}, nil
}

func (s *Store) Append(line string) error {
	_, err := s.file.WriteString(line + "\\n")
	return err
}

func (s *Store) Close() error {
	return s.file.Close()
}
"""
SCHEMA_SQL = """CREATE TABLE members (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL
);

CREATE TABLE loans (
  id INTEGER PRIMARY KEY,
  member_id INTEGER REFERENCES members (id),
  due DATE NOT NULL
);

CREATE INDEX loans_due ON loans (due);

CREATE VIEW overdue AS SELECT * FROM loans WHERE due < CURRENT_DATE;
"""
DEBOUNCE_TS = """export function debounce<T extends unknown[]>(fn: (...args: T) => void, ms: number) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (...args: T) => {
    if (timer !== undefined) clearTimeout(timer);
    timer = setTimeout(() => fn(...args), ms);
  };
}
"""
SICHERN_SH = """#!/bin/sh
set -eu
ziel="/mnt/sicherung/$(date +%F)"
mkdir -p "$ziel"
for ordner in Dokumente Bilder; do
  tar -czf "$ziel/$ordner.tar.gz" -C "$HOME" "$ordner"
done
find /mnt/sicherung -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -r {} +
"""
DOCKERFILE = """FROM golang:1.22 AS build
WORKDIR /src
COPY . .
RUN go build -o /bin/api ./cmd/api

FROM gcr.io/distroless/base
COPY --from=build /bin/api /api
EXPOSE 7070
USER nonroot
ENTRYPOINT ["/api"]
"""
TOWNS_CSV = """postcode,town,state,inhabitants
1010,Wien,Wien,16047
4020,Linz,Oberösterreich,210165
5020,Salzburg,Salzburg,157245
6020,Innsbruck,Tirol,132110
8010,Graz,Steiermark,298512
"""
DEPLOY_YML = """defaults:
  replicas: 2
  image: registry.local/pay:4.7.0
staging:
  replicas: 1
  image: registry.local/pay:4.8.0-rc2
production:
  replicas: 6
  image: registry.local/pay:4.7.3
"""
HAUSORDNUNG = """Hausordnung der Wohnanlage Lindenhof

Die Ruhezeiten gelten von 22 Uhr bis 6 Uhr sowie sonntags ganztägig.
Fahrräder werden im Keller abgestellt, nicht im Treppenhaus.
Die Waschküche darf montags bis samstags von 7 bis 20 Uhr benutzt werden.
Grillen auf den Balkonen ist nur mit Elektrogrill erlaubt.
Die Kündigungsfrist für Stellplätze beträgt sechs Wochen zum Monatsende.
"""
CLINIC = """Dr. Amara Nwosu, general practice
12 Mill Lane, Hexton

Consultation hours: Monday to Thursday 8.30 to 12.00
Please bring your insurance card and arrive ten minutes early.
House calls on request.
"""
NGINX = """server {
    listen 8081;
    server_name docs.example.net;
    root /srv/docs/public;
    client_max_body_size 20m;
}
"""
GIT_LOG = """commit 9f2c1ab
Author: Ines Duarte
Date:   2026-04-02

    Close the file after export

commit 41d07e3
Author: Piotr Zielinski
Date:   2026-03-30

    Add dark mode
"""
RECHNUNG = """Malerbetrieb Huber GmbH                       Rechnung Nr. 2026-0173
                                              Datum: 14.04.2026
Anstrich Stiegenhaus, 38 m²                       874,00 €
Material                                          167,25 €
Summe netto                                     1.041,25 €
20 % USt.                                         208,25 €
Gesamtbetrag                                    1.249,50 €
Zahlbar bis 28.04.2026
"""
LOANS_CSV = """book,reader,due,returned
Dune,Lena,2026-05-02,yes
Emma,Karl,2026-04-11,no
Ulysses,Mia,2026-05-20,no
Walden,Ole,2026-04-28,yes
"""
ERRORS_TS = """export enum Failure {
  NotFound = "E_NOT_FOUND",
  Denied = "E_DENIED",
  Timeout = "E_TIMEOUT",
}

export const RETRYABLE: Failure[] = [Failure.Timeout];
"""
RADWEG = """Die Stadt baut im kommenden Jahr einen Radweg entlang der Donau zwischen der Eisenbahnbrücke und dem Hafen. Er wird
vier Meter breit, durchgehend beleuchtet und kostet rund 2,8 Millionen Euro. Dafür fallen 60 Parkplätze weg, was einige
Händler kritisieren. Als Ausgleich soll ein Parkhaus am Hafen bis 20 Uhr gratis sein. Der Bau beginnt im März und soll vor
dem Winter abgeschlossen sein.
"""
THREAD = """From: Priya
The supplier has raised the price of the aluminium cases by 18 percent from July on. That would eat most of our margin.

From: Marcus
I asked two others. Nordcase would deliver for 4 percent more than today, but needs six weeks for the first batch.

From: Priya
Six weeks is fine, our stock lasts until the end of August. Then let us order 500 pieces from Nordcase for a trial and give
notice to the old supplier only when they have passed the drop test.

From: Marcus
Agreed. I will send the order on Monday.
"""
README = """# tide

tide is a small command line tool that shows when it is high and low water at a harbour near you. It downloads the official
tables once a year and works without a network from then on. Install it with `cargo install tide`; a binary for Windows is
attached to every release. `tide next` prints the next two tides, `tide week` a calendar of seven days, and `tide --json`
writes the same for other programs. Only harbours in Europe are known so far; tables for North America are planned. tide
is free software under the MIT licence, and its author is happy about corrections to the list of harbours.
"""
LICENCE = """Use of this map data is free for private and for commercial purposes. The source has to be named on every copy as
"Open Trail Data". The provider accepts no liability for damage caused by errors in the data. Automatic downloads are limited to
one thousand tiles per hour. These terms may change with a notice of three months.
"""
COUNCIL = """Minutes of the town council, 12 May

Mayor Lund opened the meeting at six. She said that the old bridge will be closed to lorries from June on.
Councillor Reyes asked about the cost of the new school roof and was told that it stays below the estimate.
Mayor Lund added that a temporary bridge for buses is not planned.
Councillor Abara proposed a market on Saturdays, and the proposal was accepted with two votes against.
"""
SHAPES_JS = """export function area(w, h) {
  return w * h;
}

export function perimeter(w, h) {
  return 2 * (w + h);
}

export function isSquare(w, h) {
  return w === h;
}
"""
INBOX_PY = """class Inbox:
    def __init__(self, limit=100):
        self.limit = limit
        self.messages = []

    def put(self, message):
        self.messages.append(message)
        del self.messages[: -self.limit]

    def unread(self):
        return [m for m in self.messages if not m.get("read")]


async def drain(inbox, send):
    while inbox.messages:
        await send(inbox.messages.pop(0))
"""
TABS_PY = 'def minutes(text):\r\n\thours, _, rest = text.partition(":")\r\n\treturn int(hours) * 60 + int(rest)\r\n\r\n\r\ndef clock(total):\r\n\treturn f"{total // 60:02}:{total % 60:02}"\r\n'
PARSE_JS = """function parseQuery(text) {
  const found = {};
  for (const part of text.replace(/^\\?/, "").split("&")) {
    const [key, value] = part.split("=");
    found[key] = decodeURIComponent(value);
  }
  return found;
}

module.exports = { parseQuery };
"""
PARSE_TEST = """const assert = require("assert");
const { parseQuery } = require("./query.js");

assert.deepStrictEqual(parseQuery("?a=1&b=two%20words"), { a: "1", b: "two words" });
assert.deepStrictEqual(parseQuery(""), {});
assert.deepStrictEqual(parseQuery("flag&x=2"), { flag: "", x: "2" });
"""
RANGES_PY = '''def merge(ranges):
    """Overlapping or touching ranges (start, end) joined, sorted by their start."""
    merged = []
    for start, end in ranges:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged
'''
RANGES_TEST = """from ranges import merge

assert merge([(1, 3), (2, 5)]) == [(1, 5)]
assert merge([(4, 6), (1, 2)]) == [(1, 2), (4, 6)]
assert merge([(1, 9), (2, 3)]) == [(1, 9)]
"""
PHONE_PY = """def same_number(a, b):
    return a.replace(" ", "") == b.replace(" ", "")
"""
PHONE_TEST = """from phone import same_number

assert same_number("0664 123 45 67", "0664-1234567")
assert same_number("0664/1234567", "0664 1234567")
assert not same_number("0664 1234567", "0664 1234568")
"""
CART_TS = """export interface Item {
  price: number;
  count: number;
}

export function getTot(items: Item[]): number {
  return items.reduce((sum, item) => sum + item.price * item.count, 0);
}

export function summary(items: Item[]): string {
  return `${items.length} items, ${getTot(items)} EUR`;
}
"""
SETTINGS_PY = """from dataclasses import dataclass


@dataclass
class Cfg:
    host: str = "localhost"
    port: int = 8000

    def copy(self) -> "Cfg":
        return Cfg(self.host, self.port)


def default() -> Cfg:
    return Cfg()
"""
STACK_YML = """services:
  app:
    image: notes:2
    depends_on:
      - db
    environment:
      DB_HOST: db
  db:
    image: postgres:16
"""
LEAD_PY = '''def left_pad(text, width, fill="0"):
    """`text` with `fill` in front of it until it has `width` characters; ValueError when `fill` is not one character."""
    if len(fill) != 1:
        raise ValueError("fill must be one character")
    return fill * (width - len(text)) + text
'''
BUCKET_PY = '''def bucket(age):
    """"child" up to 12 years, "teen" up to 17, "adult" from 18 on."""
    if age <= 12:
        return "child"
    if age <= 17:
        return "teen"
    return "adult"
'''
MAILS_DE = """id,betreff
a,Rechnung 2291 zu Ihrer Bestellung
b,Ich kann mich nicht anmelden
c,Mahnung: offener Betrag 49 Euro
d,Fehlermeldung beim Hochladen von Bildern
e,Gutschrift zu Rechnung 2207
"""
PLACES = """id,place
p1,Danube
p2,Lake Garda
p3,Rhine
p4,Lake Constance
p5,Elbe
p6,Thames
"""
FEEDBACK = """The room was spotless and the staff could not have been kinder, but the street noise kept us awake for three nights and
nobody told us about the construction site next door.
"""
NOTES = {
    "server.md": """# Server

Restart with `systemctl restart shop`. The dashboard is at https://status.shop.example/live and
the manual at https://wiki.shop.example/ops.
""",
    "app.ini": """[app]
name = shop
colour = green
""",
    "client.js": """const API = "https://api.shop.example/v2";

export const get = (path) => fetch(`${API}/${path}`);
""",
}
MODULES = {
    "auth.go": """package auth

// Check reports whether the token is known and has not expired.
func Check(token string) bool {
	entry, ok := tokens[token]
	return ok && entry.expires.After(now())
}
""",
    "mail.rb": """class Mailer
  def deliver(to, subject, body)
    Net::SMTP.start(@host) { |smtp| smtp.send_message("Subject: #{subject}\\n\\n#{body}", @from, to) }
  end
end
""",
    "retry.ts": """export async function retry<T>(action: () => Promise<T>, times = 3): Promise<T> {
  for (let left = times; ; left--) {
    try {
      return await action();
    } catch (error) {
      if (left <= 1) throw error;
    }
  }
}
""",
}
WINDOWS_INI = (
    "\ufeff[service]\r\nname = Meßdienst\r\nport = 8080\r\ninterval_s = 30\r\n\r\n[log]\r\nlevel = info\r\n"
)
PYPROJECT = """[project]
name = "harbour"
version = "0.9.1"
requires-python = ">=3.9"
dependencies = ["httpx>=0.27", "rich"]

[tool.ruff]
line-length = 100
"""
MEMBERS_JSON = """[
  {"name": "Zoe", "role": "chair", "since": 2021},
  {"name": "Amin", "role": "treasurer", "since": 2023}
]
"""
SENSORS = """Our greenhouse has two sensors. The one called north reports every 60 seconds on pin 4; the one called south reports
every 300 seconds on pin 17. Alarms go to garden@example.org.
"""

_GERMAN = r"\b(?:der|die|das|und|wird|werden|ist|einen?|von|mit)\b"


def _write(
    name: str,
    kind: str,
    files: Mapping[str, str],
    target: str,
    task: str,
    check: Check,
    gate: object = None,
) -> Case:
    call = {"task": task, "files": list(files), "write": target, "gate": gate, "max_output": 500}
    return Case(name=name, kind=kind, half="earlier", files=files, call=call, check=check)


def _either(*checks: Check) -> Check:
    return lambda end: any(check(end) for check in checks)


def _mixed_or_negative(end: End) -> bool:
    return end.answer.strip(" .\"'*`\n").lower() == "mixed"


def _table(end: End) -> bool:
    """A Markdown table with both members."""
    lines = [line.strip() for line in end.files.get("members.md", "").splitlines() if line.strip()]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return (
        len(rows) == len(lines) == 4
        and [c.lower() for c in rows[0]] == ["name", "role", "since"]
        and rows[2:] == [["Zoe", "chair", "2021"], ["Amin", "treasurer", "2023"]]
    )


def _sensors(value: object) -> bool:
    said = json.dumps(value)
    return isinstance(value, dict) and all(
        part in said for part in ('"north"', '"south"', "60", "300", "4", "17", "garden@example.org")
    )


LANGUAGES: tuple[Case, ...] = (
    # count in a log
    ask(
        "earlier",
        "count-401",
        "access.log",
        ACCESS_LOG,
        "How many requests were answered with status 401?",
        says(r"\b(2|two)\b", no=[r"\b(1|3|4|5|6|one|three|four)\b(?! ?[./])"], most=300),
        "count",
    ),
    ask(
        "earlier",
        "count-boxes",
        "packing.md",
        PACKING,
        "How many boxes in this checklist are not ticked yet?",
        says(r"\b(4|four)\b", no=[r"\b(3|5|7|three|five|seven)\b"], most=400),
        "count",
    ),
    ask(
        "earlier",
        "count-warnung",
        "anlage.log",
        ANLAGE_LOG,
        "Wie viele Zeilen enthalten WARNUNG? Bitte nur die Zahl.",
        says(r"\b(3|drei)\b", no=[r"\b(1|2|4|5|6|7)\b"], most=200),
        "count",
    ),
    # list functions
    ask(
        "earlier",
        "list-exports",
        "money.js",
        MONEY_JS,
        "Which functions does this module export? Names only.",
        says(r"\bconvert\b", r"\bformat\b", r"\bcurrencies\b", no=[r"assertknown", r"\brates\b"], most=300),
        "list",
    ),
    ask(
        "earlier",
        "list-go",
        "store.go",
        STORE_GO,
        "List all functions and methods of this Go file.",
        says(r"\bopen\b", r"\bappend\b", r"\bclose\b", no=[r"\bwritestring\b", r"\bopenfile\b"], most=700),
        "list",
    ),
    ask(
        "earlier",
        "list-tables",
        "schema.sql",
        SCHEMA_SQL,
        "What tables does this script create? One per line.",
        says(r"\bmembers\b", r"\bloans\b", no=[r"\boverdue\b", r"loans_due"], most=300),
        "list",
    ),
    # explain
    ask(
        "earlier",
        "explain-debounce",
        "debounce.ts",
        DEBOUNCE_TS,
        "What is this helper good for? Two sentences for a colleague, please.",
        some_of(
            3,
            r"delay|wait|postpon|after|paus|until",
            r"call|invo|execut|run",
            r"timer|timeout|millisecond|\bms\b|time",
            r"again|last|frequen|rapid|multiple|many|repeated|limit|too often|reset|clear|cancel",
        ),
        "explain",
    ),
    ask(
        "earlier",
        "explain-sichern",
        "sichern.sh",
        SICHERN_SH,
        "Erkläre in zwei Sätzen, was dieses Skript macht.",
        some_of(
            4,
            _GERMAN,
            r"sicher|backup|archiv|kopi",
            r"dokumente|bilder|ordner|verzeichnis",
            r"30|lösch|entfern|älter",
        ),
        "explain",
    ),
    ask(
        "earlier",
        "explain-docker",
        "Dockerfile",
        DOCKERFILE,
        "Explain this Dockerfile to a beginner in three sentences at most.",
        some_of(
            3,
            r"build|compil",
            r"\bgo\b|golang",
            r"copy|copie|second|final|stage|distroless|smaller|minimal",
            r"7070|port|nonroot|non-root|entry|run|start",
        ),
        "explain",
    ),
    # question
    ask(
        "earlier",
        "ask-postcode",
        "towns.csv",
        TOWNS_CSV,
        "Which town has the postcode 6020, and in which state is it?",
        says(r"innsbruck", r"tirol|tyrol", no=[r"linz", r"graz", r"wien"]),
    ),
    ask(
        "earlier",
        "ask-image",
        "deploy.yml",
        DEPLOY_YML,
        "What version is running on staging?",
        says(r"4\.8\.0-rc2", no=[r"4\.7\.0", r"4\.7\.3"]),
    ),
    ask(
        "earlier",
        "ask-waschen",
        "hausordnung.txt",
        HAUSORDNUNG,
        "Wann darf man die Waschküche benutzen?",
        says(r"\b7\b", r"\b20\b", r"samstag", no=[r"\b22\b"]),
    ),
    ask(
        "earlier",
        "ask-absent",
        "clinic.txt",
        CLINIC,
        "What is the fax number of the practice?",
        says(r"\b(no|not|none|isn't|doesn't|without)\b", no=[r"\d{3}"], most=400),
    ),
    # extraction
    data(
        "earlier",
        "vhost",
        "docs.conf",
        NGINX,
        "Get host name, port and document root out of this.",
        an_object(host=A_TEXT, port={"type": "integer"}, root=A_TEXT),
        {"host": "docs.example.net", "port": 8081, "root": "/srv/docs/public"},
    ),
    data(
        "earlier",
        "commits",
        "log.txt",
        GIT_LOG,
        "Turn this history into data.",
        an_object(
            commits={
                "type": "array",
                "items": an_object(hash=A_TEXT, author=A_TEXT, date=A_TEXT, subject=A_TEXT),
            }
        ),
        {
            "commits": [
                {
                    "hash": "9f2c1ab",
                    "author": "Ines Duarte",
                    "date": "2026-04-02",
                    "subject": "Close the file after export",
                },
                {
                    "hash": "41d07e3",
                    "author": "Piotr Zielinski",
                    "date": "2026-03-30",
                    "subject": "Add dark mode",
                },
            ]
        },
    ),
    data(
        "earlier",
        "rechnung",
        "rechnung.txt",
        RECHNUNG,
        "Lies Nummer, Gesamtbetrag und Fälligkeit (JJJJ-MM-TT) aus der Rechnung.",
        an_object(nummer=A_TEXT, gesamtbetrag={"type": "number"}, faellig=A_TEXT),
        {"nummer": "2026-0173", "gesamtbetrag": 1249.5, "faellig": "2026-04-28"},
    ),
    data(
        "earlier",
        "loans",
        "loans.csv",
        LOANS_CSV,
        "Who still has books out, and which?",
        an_object(out={"type": "array", "items": an_object(reader=A_TEXT, book=A_TEXT)}),
        {"out": [{"reader": "Karl", "book": "Emma"}, {"reader": "Mia", "book": "Ulysses"}]},
    ),
    data(
        "earlier",
        "enum",
        "errors.ts",
        ERRORS_TS,
        "All members of the enum with their string values.",
        an_object(members={"type": "array", "items": an_object(name=A_TEXT, value=A_TEXT)}),
        {
            "members": [
                {"name": "NotFound", "value": "E_NOT_FOUND"},
                {"name": "Denied", "value": "E_DENIED"},
                {"name": "Timeout", "value": "E_TIMEOUT"},
            ]
        },
    ),
    # summary
    ask(
        "earlier",
        "sum-radweg",
        "radweg.txt",
        RADWEG,
        "Fasse den Artikel in höchstens zwei Sätzen zusammen.",
        some_of(
            4,
            _GERMAN,
            r"radweg",
            r"donau|hafen",
            r"parkpl|parkhaus|million|märz|händler",
            longest=shorter(RADWEG),
        ),
        "summary",
    ),
    ask(
        "earlier",
        "sum-thread",
        "thread.txt",
        THREAD,
        "tl;dr? One sentence with the decision.",
        some_of(2, r"nordcase", r"500|trial|order", r"supplier|price|18|cases", longest=shorter(THREAD)),
        "summary",
    ),
    ask(
        "earlier",
        "sum-readme",
        "README.md",
        README,
        "Boil this down to three bullet points.",
        some_of(
            3,
            r"tide",
            r"harbour|water|high|low",
            r"install|cargo|command|json",
            r"europe|offline|without|mit",
            longest=shorter(README),
        ),
        "summary",
    ),
    # quotes
    quote(
        "earlier",
        "quote-liability",
        "licence.txt",
        LICENCE,
        "Which sentence deals with liability? Word for word, please.",
        "The provider accepts no liability for damage caused by errors in the data",
    ),
    quote(
        "earlier",
        "quote-frist",
        "hausordnung.txt",
        HAUSORDNUNG,
        "Zitiere wörtlich den Satz über die Kündigungsfrist.",
        "Die Kündigungsfrist für Stellplätze beträgt sechs Wochen zum Monatsende",
    ),
    quote(
        "earlier",
        "quote-mayor",
        "minutes.txt",
        COUNCIL,
        "Quote the two sentences with what the mayor said about bridges.",
        "the old bridge will be closed to lorries from June on",
        "a temporary bridge for buses is not planned",
    ),
    # docstrings
    edit(
        "earlier",
        "doc-shapes",
        "docstrings",
        "shapes.js",
        SHAPES_JS,
        "Put a JSDoc comment above each function. Don't touch the code.",
        commented("shapes.js", SHAPES_JS, "function"),
    ),
    edit(
        "earlier",
        "doc-inbox",
        "docstrings",
        "inbox.py",
        INBOX_PY,
        "Write short docstrings for all functions and methods in here, __init__ included.",
        documented("inbox.py", INBOX_PY),
    ),
    edit(
        "earlier",
        "doc-tabs",
        "docstrings",
        "clock.py",
        TABS_PY,
        "Both functions lack docstrings; add them.",
        documented("clock.py", TABS_PY),
    ),
    # fix under tests
    Case(
        name="fix-query",
        kind="fix",
        half="earlier",
        files={"query.js": PARSE_JS, "check_query.js": PARSE_TEST},
        call={
            "task": "parseQuery breaks on an empty string and on keys without a value. See check_query.js.",
            "files": ["query.js", "check_query.js"],
            "write": "edits",
            "gate": {"command": "node check_query.js"},
            "max_output": 500,
        },
        check=runs_in_node(
            "query.js",
            PARSE_TEST + 'assert.deepStrictEqual(parseQuery("?u=%C3%A4"), { u: "ä" });\n',
        ),
    ),
    fix(
        "earlier",
        "ranges",
        RANGES_PY,
        RANGES_TEST,
        "merge goes wrong when the ranges are not sorted, or when one lies within another.",
        "assert merge([(5, 6), (1, 3), (3, 5)]) == [(1, 6)] and merge([]) == []",
    ),
    fix(
        "earlier",
        "phone",
        PHONE_PY,
        PHONE_TEST,
        "Numbers are equal when their digits are; slashes and dashes should not matter either.",
        'assert same_number("(0664) 12", "066412") and not same_number("1", "11")',
    ),
    # rename
    edit(
        "earlier",
        "rename-tot",
        "rename",
        "cart.ts",
        CART_TS,
        "Rename getTot to totalOf.",
        text_is("cart.ts", CART_TS.replace("getTot", "totalOf")),
    ),
    edit(
        "earlier",
        "rename-cfg",
        "rename",
        "settings.py",
        SETTINGS_PY,
        "Cfg is a bad name. Call the class Settings.",
        _either(
            renamed("settings.py", SETTINGS_PY, "Cfg", "Settings"),
            text_is("settings.py", SETTINGS_PY.replace("Cfg", "Settings")),
        ),
    ),
    edit(
        "earlier",
        "rename-db",
        "rename",
        "stack.yml",
        STACK_YML,
        "The service db should be called database; adapt everything that refers to it.",
        text_is(
            "stack.yml",
            STACK_YML.replace("- db", "- database")
            .replace("HOST: db", "HOST: database")
            .replace("  db:", "  database:"),
        ),
    ),
    # test file
    _write(
        "tests-lead",
        "tests",
        {"lead.py": LEAD_PY},
        "test_lead.py",
        "I need unit tests for left_pad: shorter, equally long and longer texts, and a bad fill. Use pytest.",
        tests_tell(
            "test_lead.py",
            "lead.py",
            LEAD_PY,
            ("!= 1", "== 7"),
            ("+ text", "+ text[:width]"),
            ("fill * ", '"0" * '),
        ),
        {"command": "python3 -m pytest -q -p no:cacheprovider test_lead.py"},
    ),
    _write(
        "tests-bucket",
        "tests",
        {"bucket.py": BUCKET_PY},
        "test_bucket.py",
        "Cover bucket with pytest, the borders between the groups above all.",
        tests_tell("test_bucket.py", "bucket.py", BUCKET_PY, ("<= 12", "< 12"), ("<= 17", "<= 18")),
    ),
    # classification
    Case(
        name="mails-de",
        kind="classify",
        half="earlier",
        files={"rows.csv": MAILS_DE},
        call={
            "task": "Ordne jede Zeile einer Abteilung zu: Buchhaltung oder Technik.",
            "files": ["rows.csv"],
            "schema": an_object(
                rows={
                    "type": "array",
                    "items": an_object(id=A_TEXT, label={"enum": ["Buchhaltung", "Technik"]}),
                }
            ),
            "max_output": 300,
        },
        check=labelled(
            {"a": "Buchhaltung", "b": "Technik", "c": "Buchhaltung", "d": "Technik", "e": "Buchhaltung"}
        ),
    ),
    _write(
        "places",
        "classify",
        {"places.csv": PLACES},
        "kinds.csv",
        "For every place decide whether it is a river or a lake. Output CSV, id,kind.",
        labelled_csv(
            "kinds.csv",
            {"p1": "river", "p2": "lake", "p3": "river", "p4": "lake", "p5": "river", "p6": "river"},
        ),
    ),
    ask(
        "earlier",
        "feedback",
        "feedback.txt",
        FEEDBACK,
        "Is this feedback positive, negative or mixed? Reply with the one word.",
        _mixed_or_negative,
        "classify",
    ),
    # map
    mapped(
        "earlier",
        "map-urls",
        NOTES,
        "Give all URLs in this file.",
        says(
            r"status\.shop\.example/live",
            r"wiki\.shop\.example/ops",
            r"api\.shop\.example/v2",
            no=[r"example\.com"],
            most=900,
        ),
    ),
    mapped(
        "earlier",
        "map-modules",
        MODULES,
        "Describe in a single sentence what this code is responsible for.",
        some_of(
            3,
            r"token|expir|auth",
            r"mail|smtp|deliver",
            r"retr|again|repeat|attempt",
            shortest=60,
            longest=1500,
        ),
    ),
    # other files, written
    edit(
        "earlier",
        "set-port",
        "settings",
        "service.ini",
        WINDOWS_INI,
        "Set the port to 9090 and the log level to debug.",
        text_is("service.ini", WINDOWS_INI.replace("8080", "9090").replace("level = info", "level = debug")),
    ),
    edit(
        "earlier",
        "add-dependency",
        "settings",
        "pyproject.toml",
        PYPROJECT,
        "We also need anyio>=4 as a dependency, and Python 3.11 at least.",
        parsed(
            "pyproject.toml",
            lambda value: (
                {d.replace(" ", "") for d in value["project"]["dependencies"]}
                == {"httpx>=0.27", "rich", "anyio>=4"}
                and value["project"]["requires-python"].replace(" ", "") == ">=3.11"
                and value["project"]["version"] == "0.9.1"
                and value["tool"]["ruff"]["line-length"] == 100
            ),
        ),
    ),
    _write(
        "json-table",
        "settings",
        {"members.json": MEMBERS_JSON},
        "members.md",
        "Make a Markdown table of this: name, role, since.",
        _table,
    ),
    _write(
        "sensors",
        "settings",
        {"sensors.txt": SENSORS},
        "sensors.yml",
        "Write the configuration described here as YAML: sensors with name, interval and pin, and the address for alarms.",
        parsed("sensors.yml", _sensors),
    ),
)
