"""Small everyday tasks for real workers that only report: no prompt, form or gate was chosen by what models do here."""

from __future__ import annotations

from benchmarks.real_checks import (
    A_TEXT,
    Case,
    an_object,
    ask,
    commented,
    data,
    documented,
    edit,
    fix,
    labelled,
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

QUEUE_JSONL = """{"t": 1, "level": "info", "msg": "worker up"}
{"t": 4, "level": "error", "msg": "job 17 failed"}
{"t": 9, "level": "warn", "msg": "job 18 slow"}
{"t": 12, "level": "error", "msg": "job 21 failed"}
{"t": 15, "level": "error", "msg": "lost connection"}
{"t": 20, "level": "info", "msg": "worker down"}
"""
GEOM_RS = """pub struct Point {
    pub x: f64,
    pub y: f64,
}

pub fn distance(a: &Point, b: &Point) -> f64 {
    ((a.x - b.x).powi(2) + (a.y - b.y).powi(2)).sqrt()
}

pub fn midpoint(a: &Point, b: &Point) -> Point {
    Point { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0 }
}

fn is_origin(p: &Point) -> bool {
    p.x == 0.0 && p.y == 0.0
}
"""
MAKEFILE = """.PHONY: site clean

site: build/index.html

build/index.html: pages/*.md style.css
\tmkdir -p build
\tpandoc pages/*.md --css style.css -o build/index.html

clean:
\trm -rf build
"""
FLIGHTS = """flight;from;to;gate;departs
OS 221;Vienna;Hamburg;C31;14:05
LH 1238;Vienna;Frankfurt;D22;14:20
OS 355;Vienna;Brussels;F03;15:45
"""
VERTRAG = """§ 1 Der Verein leiht das Boot an Mitglieder, die mindestens 18 Jahre alt sind.
§ 2 Die Leihe kostet 15 Euro am Tag, am Wochenende 20 Euro.
§ 3 Schäden sind noch am selben Tag dem Bootswart zu melden.
§ 4 Nach Sonnenuntergang darf nicht gefahren werden.
"""
VISIT = """Patient: Rosa Keller, born 1984-09-02
Seen on 2026-06-11 by Dr. Imre Balog
Blood pressure 128/82, pulse 71
Prescribed: ramipril 5 mg once a day
Next visit in three months
"""
PLAYLIST = """<ul class="songs">
  <li data-len="3:41">Harbour Lights - The Quays</li>
  <li data-len="4:05">Slow Train - Ida Marsh</li>
  <li data-len="2:58">Paper Moon Road - Tin Choir</li>
</ul>
"""
TALK = """The museum has put its collection of 12,000 seashells on the internet. Each shell was photographed from four sides by
volunteers, which took three years. Until now only about 300 of them could be seen in the rooms. Schools may use the pictures
free of charge; others may use them when they name the museum. A search by colour and by beach was programmed by two students
as their final project.
"""
WARTUNG = """In der Nacht von Samstag auf Sonntag wird die Wasserleitung in der Gartengasse erneuert. Von 22 Uhr bis 6 Uhr gibt es dort
kein Wasser. Die Arbeiten wurden nötig, weil das alte Rohr aus dem Jahr 1961 in diesem Winter zweimal gebrochen ist. Anrainer
können sich am Samstag bis 20 Uhr beim Feuerwehrhaus Wasser in Kanistern holen. Die Gasse ist für Autos gesperrt.
"""
WARRANTY = """The warranty lasts two years from the day of purchase. Batteries are covered for six months only.
Damage by water is not covered. Repairs are carried out in our workshop in Leeds, and the customer pays for sending the device
there. We send it back at our expense.
"""
DICE_JAVA = """public class Dice {
    private final java.util.Random random = new java.util.Random();

    public int roll(int sides) {
        return random.nextInt(sides) + 1;
    }

    public int sum(int[] rolls) {
        int total = 0;
        for (int roll : rolls) total += roll;
        return total;
    }
}
"""
COLOURS_PY = """def to_hex(r, g, b):
    return f"#{r:02x}{g:02x}{b:02x}"


def brightness(r, g, b):
    return (299 * r + 587 * g + 114 * b) / 1000
"""
TRUNC_JS = """function truncate(text, length) {
  return text.slice(0, length) + "...";
}

module.exports = { truncate };
"""
TRUNC_TEST = """const assert = require("assert");
const { truncate } = require("./truncate.js");

assert.strictEqual(truncate("hello world", 8), "hello...");
assert.strictEqual(truncate("short", 8), "short");
assert.strictEqual(truncate("exactly8", 8), "exactly8");
"""
DAYS_PY = """def weekdays(start, count):
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    first = names.index(start)
    return [names[first + number] for number in range(count)]
"""
DAYS_TEST = """from days import weekdays

assert weekdays("Mon", 2) == ["Mon", "Tue"]
assert weekdays("Sat", 4) == ["Sat", "Sun", "Mon", "Tue"]
"""
TIMER_JS = """let cnt = 0;

export function tick() {
  cnt += 1;
  return cnt;
}

export function reset() {
  cnt = 0;
}
"""
PLANT_PY = """class Plant:
    def __init__(self, h2o):
        self.h2o = h2o

    def thirsty(self):
        return self.h2o < 20

    def pour(self, amount):
        self.h2o = min(100, self.h2o + amount)
"""
PRICE_PY = '''def price(count, member=False):
    """Two euros each; from ten on 1.50 each; members get a tenth off."""
    total = count * (1.5 if count >= 10 else 2)
    return total * 0.9 if member else total
'''
SHOPPING = """id,thing
s1,hammer
s2,milk
s3,bread
s4,screwdriver
s5,cheese
"""
LOGGING_TOML = """[server]
port = 7000
debug = true

[log]
level = "info"
keep_days = 7
"""
DOCS = {
    "install.md": "# Install\n\nYou need Java 17. TODO: describe Windows.\nRun `sh install.sh`.\n",
    "usage.md": "# Usage\n\nRun `app --help` to see all commands.\n",
    "faq.md": "# FAQ\n\nWhy is it slow?\nTODO: answer this.\n",
}

REPORTING: tuple[Case, ...] = (
    ask(
        "report",
        "count-errors",
        "queue.jsonl",
        QUEUE_JSONL,
        "How many events have the level error?",
        says(r"\b(3|three)\b", no=[r"\b(1|2|4|5|6|two|four|five)\b"], most=300),
        "count",
    ),
    ask(
        "report",
        "list-rust",
        "geom.rs",
        GEOM_RS,
        "Give me the names of the functions defined in this file.",
        says(r"\bdistance\b", r"\bmidpoint\b", r"\bis_origin\b", no=[r"\bpowi\b", r"\bsqrt\b"], most=500),
        "list",
    ),
    ask(
        "report",
        "explain-make",
        "Makefile",
        MAKEFILE,
        "What happens when I run make site? In a sentence or two.",
        some_of(
            3,
            r"build|creat|generat",
            r"pandoc|markdown|\.md|pages",
            r"html|index|site",
            r"css|style|folder|director",
        ),
        "explain",
    ),
    ask(
        "report",
        "ask-gate",
        "flights.csv",
        FLIGHTS,
        "From which gate does the flight to Brussels leave, and when?",
        says(r"\bf03\b", r"15[:.]45", no=[r"c31", r"d22"]),
    ),
    ask(
        "report",
        "ask-boot",
        "vertrag.txt",
        VERTRAG,
        "Was kostet das Boot am Sonntag?",
        says(r"\b20\b", no=[r"\b15\b"]),
    ),
    data(
        "report",
        "visit",
        "visit.txt",
        VISIT,
        "Fill in the form from this note.",
        an_object(patient=A_TEXT, born=A_TEXT, seen=A_TEXT, doctor=A_TEXT, pulse={"type": "integer"}),
        {
            "patient": "Rosa Keller",
            "born": "1984-09-02",
            "seen": "2026-06-11",
            "doctor": "Dr. Imre Balog",
            "pulse": 71,
        },
    ),
    data(
        "report",
        "songs",
        "songs.html",
        PLAYLIST,
        "Get every song with its artist and length.",
        an_object(songs={"type": "array", "items": an_object(title=A_TEXT, artist=A_TEXT, length=A_TEXT)}),
        {
            "songs": [
                {"title": "Harbour Lights", "artist": "The Quays", "length": "3:41"},
                {"title": "Slow Train", "artist": "Ida Marsh", "length": "4:05"},
                {"title": "Paper Moon Road", "artist": "Tin Choir", "length": "2:58"},
            ]
        },
    ),
    ask(
        "report",
        "sum-shells",
        "shells.txt",
        TALK,
        "What is the news here? Keep it to two sentences.",
        some_of(
            3,
            r"museum",
            r"shell",
            r"internet|online|photo|digit|pictures",
            r"school|search|free|12,000",
            longest=shorter(TALK),
        ),
        "summary",
    ),
    ask(
        "report",
        "sum-wasser",
        "wasser.txt",
        WARTUNG,
        "Bitte in einem Satz zusammenfassen, was die Anrainer wissen müssen.",
        some_of(
            3,
            r"wasser",
            r"samstag|nacht|22",
            r"gartengasse|rohr|leitung|gesperrt",
            r"kanister|feuerwehr|kein",
            longest=shorter(WARTUNG),
        ),
        "summary",
    ),
    quote(
        "report",
        "quote-battery",
        "warranty.txt",
        WARRANTY,
        "How long are batteries covered? Copy the sentence verbatim.",
        "Batteries are covered for six months only",
    ),
    quote(
        "report",
        "quote-boot",
        "vertrag.txt",
        VERTRAG,
        "Zitiere, was über Schäden gesagt wird.",
        "Schäden sind noch am selben Tag dem Bootswart zu melden",
    ),
    edit(
        "report",
        "doc-dice",
        "docstrings",
        "Dice.java",
        DICE_JAVA,
        "Add Javadoc to both public methods and leave everything else alone.",
        commented("Dice.java", DICE_JAVA, r" *public int"),
    ),
    edit(
        "report",
        "doc-colours",
        "docstrings",
        "colours.py",
        COLOURS_PY,
        "These functions need docstrings saying what they return.",
        documented("colours.py", COLOURS_PY),
    ),
    Case(
        name="fix-truncate",
        kind="fix",
        half="report",
        files={"truncate.js": TRUNC_JS, "check_truncate.js": TRUNC_TEST},
        call={
            "task": "truncate adds dots to short texts too, and its result is longer than length. Repair it.",
            "files": ["truncate.js", "check_truncate.js"],
            "write": "edits",
            "gate": {"command": "node check_truncate.js"},
            "max_output": 500,
        },
        check=runs_in_node(
            "truncate.js", TRUNC_TEST + 'assert.strictEqual(truncate("abcdefghij", 5), "ab...");\n'
        ),
    ),
    fix(
        "report",
        "days",
        DAYS_PY,
        DAYS_TEST,
        "weekdays crashes when it runs past Sunday.",
        'assert weekdays("Sun", 9)[-1] == "Mon" and weekdays("Wed", 0) == []',
    ),
    edit(
        "report",
        "rename-cnt",
        "rename",
        "timer.js",
        TIMER_JS,
        "Use the name count instead of cnt.",
        text_is("timer.js", TIMER_JS.replace("cnt", "count")),
    ),
    edit(
        "report",
        "rename-h2o",
        "rename",
        "plant.py",
        PLANT_PY,
        "Rename h2o to moisture in the whole class.",
        renamed("plant.py", PLANT_PY, "h2o", "moisture"),
    ),
    Case(
        name="tests-price",
        kind="tests",
        half="report",
        files={"price.py": PRICE_PY},
        call={
            "task": "Write pytest tests for price: below ten, exactly ten, members.",
            "files": ["price.py"],
            "write": "test_price.py",
            "gate": {"command": "python3 -m pytest -q -p no:cacheprovider test_price.py"},
            "max_output": 500,
        },
        check=tests_tell("test_price.py", "price.py", PRICE_PY, (">= 10", "> 10"), ("* 0.9", "* 0.8")),
    ),
    Case(
        name="shopping",
        kind="classify",
        half="report",
        files={"rows.csv": SHOPPING},
        call={
            "task": "Which shop does each thing come from: grocery or hardware?",
            "files": ["rows.csv"],
            "schema": an_object(
                rows={"type": "array", "items": an_object(id=A_TEXT, label={"enum": ["grocery", "hardware"]})}
            ),
            "max_output": 300,
        },
        check=labelled(
            {"s1": "hardware", "s2": "grocery", "s3": "grocery", "s4": "hardware", "s5": "grocery"}
        ),
    ),
    mapped(
        "report",
        "map-todos",
        DOCS,
        "What is still TODO in this page?",
        says(r"windows", r"answer", no=[r"--help"], most=700),
    ),
    edit(
        "report",
        "set-log",
        "settings",
        "app.toml",
        LOGGING_TOML,
        "Turn debug off and keep logs for 30 days.",
        parsed(
            "app.toml",
            lambda v: (
                v == {"server": {"port": 7000, "debug": False}, "log": {"level": "info", "keep_days": 30}}
            ),
        ),
    ),
)
