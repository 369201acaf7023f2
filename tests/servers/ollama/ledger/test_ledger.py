"""The ledger: many writers, damaged files, totals that stay cheap, savings that may be negative."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.ollama.ledger.ledger import Accuracy, Key, Ledger, LedgerError, Run, processor_of, settings_of
from servers.ollama.ledger.profile import Profile, from_ollama
from servers.state.home import home
from tests.recorded import exchange

KEY = Key(
    host="here",
    digest="sha256:1",
    processor="cpu",
    settings=settings_of({"num_ctx": 4096}),
    server="ollama 0.33",
)


def run(**changed: object) -> Run:
    profile = Profile(model="small", outcome="done", total_s=2.0, tokens_in=100, tokens_out=20)
    return replace(Run(key=KEY, profile=profile, at=1.5), **changed)  # type: ignore[arg-type]


def test_a_run_comes_back_as_it_was_recorded() -> None:
    final = exchange("generate_stream").final
    given_ = run(
        profile=from_ollama(final, wall_s=0.12, num_ctx=4096),
        kind="summary",
        think=True,
        format="schema",
        cap=24,
        gate="syntax",
        gate_passed=False,
        forecast_s=0.1,
        advice=[{"action": "shorten", "saves_s": 1.5}],
        raw=final,
        busy_cores=0.5,
        asked_by="lead",
    )
    with Ledger.open() as ledger:
        number = ledger.record(given_)
        (got,) = ledger.runs(key=KEY)
    assert got == replace(given_, id=number, raw=got.raw)
    assert got.raw is not None and got.raw["eval_duration"] == final["eval_duration"]
    assert "context" not in got.raw and "response" not in got.raw


def test_the_ledger_lives_in_the_state_folder_and_only_its_owner_reads_it() -> None:
    with Ledger.open() as ledger:
        assert ledger.path == home() / "ledger.sqlite"
        assert ledger.path.stat().st_mode & 0o077 == 0


def test_runs_are_found_by_key_model_kind_and_host_newest_first() -> None:
    with Ledger.open() as ledger:
        first, second = ledger.record(run(kind="edit")), ledger.record(run(kind="summary"))
        other = ledger.record(run(key=replace(KEY, host="there"), kind="edit"))
        assert [r.id for r in ledger.runs(kind="edit")] == [other, first]
        assert [r.id for r in ledger.runs(key=KEY)] == [second, first]
        assert [r.id for r in ledger.runs(host="there", model="small")] == [other]
        assert [r.id for r in ledger.runs(last=1)] == [other] and ledger.runs(last=-1) == []


def test_keys_and_counted_prompts_are_told_newest_first() -> None:
    other = replace(KEY, processor="gpu")
    with Ledger.open() as ledger:
        for key, chars in ((KEY, 350), (other, None), (KEY, 700)):
            ledger.record(run(key=key, chars_in=chars))
        assert ledger.keys("here") == [KEY, other] and ledger.keys("there") == []
        assert ledger.counted("small") == [(700, 100), (350, 100)]
        assert [r.id for r in ledger.runs(key=KEY, after=1)] == [3]


def test_several_processes_opening_and_writing_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    script = (
        "import sys; from servers.ollama.ledger.ledger import *; from servers.ollama.ledger.profile import Profile\n"
        "p = Profile(model=sys.argv[2], outcome='done', tokens_out=1)\n"
        "ledger = Ledger.open(sys.argv[1]); run = Run(key=Key(host='h', digest='d'), profile=p)\n"
        "for n in range(50): ledger.rate(ledger.record(run), 'good')"
    )
    root = Path(__file__).parents[4]
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(path), f"m{n}"], cwd=root) for n in range(3)
    ]
    assert [w.wait(60) for w in writers] == [0, 0, 0]
    with Ledger.open(path) as ledger:
        assert {(t.model, t.runs, t.good) for t in ledger.summary()} == {(f"m{n}", 50, 50) for n in range(3)}
        assert len({r.id for r in ledger.runs(last=1000)}) == 150


@pytest.mark.parametrize("damage", ["text", "middle", "cut"])
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        for _ in range(200):
            ledger.record(run())
    data = path.read_bytes()
    path.write_bytes(
        {
            "text": b"not a database at all\n" * 50,
            "middle": data[:8192] + b"\xff" * 8192 + data[16384:],
            "cut": data[:9000],
        }[damage]
    )
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"is damaged .*left as it is; move it away"):
        Ledger.open(path)
    assert path.read_bytes() == before


def test_damage_met_while_reading_is_one_sentence_too(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        for _ in range(200):
            ledger.record(run())
    with Ledger.open(path) as ledger:
        data = path.read_bytes()
        path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
        with pytest.raises(LedgerError, match="is damaged"):
            ledger.runs(last=500)


def test_a_newer_ledger_and_a_foreign_database_are_refused_untouched(tmp_path: Path) -> None:
    newer, foreign = tmp_path / "newer.sqlite", tmp_path / "foreign.sqlite"
    Ledger.open(newer).close()
    for path, statement in ((newer, "PRAGMA user_version = 99"), (foreign, "CREATE TABLE notes(x)")):
        db = sqlite3.connect(path)
        db.execute(statement)
        db.close()
    before = newer.read_bytes(), foreign.read_bytes()
    with pytest.raises(LedgerError, match=r"newer Understudy \(format 99, this one reads 3\)"):
        Ledger.open(newer)
    with pytest.raises(LedgerError, match="another program"):
        Ledger.open(foreign)
    assert (newer.read_bytes(), foreign.read_bytes()) == before


def test_a_place_that_cannot_hold_a_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.open(tmp_path / "file" / "ledger.sqlite")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LedgerError, match="no regular file"):
        Ledger.open(tmp_path / "pipe")


def test_what_a_database_cannot_hold_is_a_sentence_and_the_ledger_lives_on() -> None:
    with Ledger.open() as ledger:
        for wrong in (run(cap=2**70), run(kind="\ud800")):
            with pytest.raises(LedgerError, match="cannot hold that"):
                ledger.record(wrong)
        with pytest.raises(LedgerError, match="cannot hold that"):
            ledger.rate(2**70, "good")
        assert ledger.record(run()) == 1
        with pytest.raises(LedgerError, match="a note may have 2,000 characters, this one has 3,000"):
            ledger.rate(1, "good", "n" * 3000)


def test_a_writer_killed_in_the_middle_leaves_whole_runs(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    script = (
        "import sys; from servers.ollama.ledger.ledger import *; from servers.ollama.ledger.profile import Profile\n"
        "ledger = Ledger.open(sys.argv[1]); p = Profile(model='m', outcome='done')\n"
        "while True: print(ledger.record(Run(key=Key(host='h', digest='d'), profile=p)), flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], cwd=Path(__file__).parents[4], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(30)][-1]
        writer.kill()
        told = max([told, *(int(line) for line in writer.stdout if line.endswith(b"\n"))])
    with Ledger.open(path) as ledger:
        runs = ledger.runs(last=1000)
        assert len(runs) == min(ledger.summary()[0].runs, 1000) and ledger.summary()[0].runs >= told


def test_runs_cannot_be_changed_or_deleted_through_sql() -> None:
    with Ledger.open() as ledger:
        ledger.record(run())
        db = sqlite3.connect(ledger.path)
        for statement in ("UPDATE runs SET total_s = 0", "DELETE FROM runs"):
            with pytest.raises(sqlite3.IntegrityError, match="only appended"):
                db.execute(statement)
        db.close()


def test_a_later_rating_replaces_the_earlier_one_in_the_odds() -> None:
    with Ledger.open() as ledger:
        number = ledger.record(run(kind="edit"))
        for verdict in ("good", "revised", "rejected", "rejected"):
            ledger.rate(number, verdict, note="why")
        (totals,) = ledger.summary(kind="edit")
        assert (totals.good, totals.revised, totals.rejected) == (0, 0, 1)
        assert ledger.run(number).verdict == "rejected"


def test_wrong_ratings_say_what_would_work() -> None:
    with Ledger.open() as ledger:
        with pytest.raises(LedgerError, match="no run 7 in the ledger; it is empty"):
            ledger.rate(7, "good")
        ledger.record(run())
        with pytest.raises(LedgerError, match="no verdict 'fine'; there are good, revised, rejected"):
            ledger.rate(1, "fine")
        with pytest.raises(LedgerError, match="runs 1 to 1 are there"):
            ledger.run(7)


def test_savings_may_be_negative_and_unknown_ones_do_not_count() -> None:
    with Ledger.open() as ledger:
        ledger.record(run(tokens_without=100, tokens_spent=900))
        ledger.record(run(tokens_without=100))
        (totals,) = ledger.summary()
    assert (totals.tokens_saved, totals.tokens_counted) == (-800, 1)


def test_what_is_known_later_is_added_to_its_run() -> None:
    with Ledger.open() as ledger:
        number = ledger.record(run())
        ledger.complete(number, advice=[{"action": "split"}])
        ledger.complete(number, tokens_without=500, tokens_spent=90)
        got, (totals,) = ledger.run(number), ledger.summary()
        assert got.advice == [{"action": "split"}] and (got.tokens_without, got.tokens_spent) == (500, 90)
        assert (totals.tokens_saved, totals.tokens_counted) == (410, 1)
        assert totals.runs == 1
        with pytest.raises(LedgerError, match="no run 9"):
            ledger.complete(9, tokens_spent=1)


def test_forecast_accuracy_is_the_median_error_and_the_share_inside() -> None:
    with Ledger.open() as ledger:
        assert ledger.accuracy() == Accuracy(
            runs=0, median_error=None, coverage=None, median_error_given_length=None
        )
        for mid, low, high in ((2.2, 1.0, 3.0), (3.0, 2.5, 3.5), (2.0, 1.0, 3.0)):
            ledger.record(run(forecast_s=mid, forecast_low_s=low, forecast_high_s=high))
        ledger.record(run())
        got = ledger.accuracy(model="small")
    assert got.runs == 3 and got.median_error == pytest.approx(0.1) and got.coverage == pytest.approx(2 / 3)


def test_output_lengths_are_kept_per_kind_and_say_when_the_cap_cut_them() -> None:
    cut = Profile(model="small", outcome="length", tokens_out=64)
    with Ledger.open() as ledger:
        ledger.record(run(kind="edit"))
        ledger.record(run(kind="edit", profile=cut))
        ledger.record(run(kind="edit", profile=replace(cut, outcome="aborted")))
        ledger.record(run(kind="edit", format="json"))
        asked = ledger.lengths("small", "edit")
        assert [(a.tokens, a.cut, a.tokens_in) for a in asked] == [(64, True, None), (20, False, 100)]
        assert [a.tokens for a in ledger.lengths("small", "edit", format="json")] == [20]


def test_the_cost_of_a_question_does_not_grow_with_the_record() -> None:
    """Work is counted in steps of the database's own machine, so that no clock is involved."""
    with Ledger.open() as ledger:
        ledger.record(run(forecast_s=2.0))

        def steps() -> int:
            counted = 0

            def tick() -> int:
                nonlocal counted
                counted += 1
                return 0

            ledger._db.set_progress_handler(tick, 10)
            ledger.runs(key=KEY, last=20)
            ledger.runs(model="small", kind="other", last=20)
            ledger.runs(kind="other", last=20)
            ledger.runs(host="here", last=20)
            ledger.runs(last=20)
            ledger.lengths("small", "other", last=20)
            ledger.accuracy(model="small", last=20)
            ledger.accuracy(last=20)
            ledger.summary()
            ledger.keys("here")
            ledger.runs(key=KEY, after=10**6)
            ledger._db.set_progress_handler(None, 0)
            return counted

        def grow(rows: int) -> None:
            columns = ledger._db.execute(
                "SELECT name FROM pragma_table_info('runs') WHERE name <> 'id'"
            ).fetchall()
            names = ", ".join(name for (name,) in columns)
            ledger._db.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                f"INSERT INTO runs({names}) SELECT {names} FROM (SELECT * FROM runs LIMIT 1), n",
                (rows,),
            )

        grow(50)
        small = steps()
        grow(20_000)
        assert steps() <= small * 1.1
        assert ledger.summary()[0].runs == 20_051


counts = st.one_of(st.none(), st.integers(0, 10**9))


@settings(deadline=None)
@given(without=st.lists(st.tuples(counts, counts, st.sampled_from([None, True, False])), max_size=8))
def test_totals_are_the_sum_of_the_runs(without: list[tuple[int | None, int | None, bool | None]]) -> None:
    with Ledger.open(home() / "sums.sqlite") as ledger:
        for a, b, passed in without:
            ledger.record(run(tokens_without=a, tokens_spent=b, gate_passed=passed))
        totals = ledger.summary()
        known = [a - b for a, b, _ in without if a is not None and b is not None]
        if without:
            assert totals[0].tokens_saved == sum(known) and totals[0].tokens_counted == len(known)
            assert totals[0].gate_passed == sum(p is True for *_, p in without)
            assert totals[0].gate_failed == sum(p is False for *_, p in without)
    ledger.path.unlink()


def test_processor_classes_and_settings_are_canonical() -> None:
    assert [processor_of(x) for x in (None, 0.0, 0.4, 1.0)] == ["unknown", "cpu", "split", "gpu"]
    assert (
        settings_of({"temperature": 1, "num_thread": 2, "num_ctx": 4096}) == '{"num_ctx":4096,"num_thread":2}'
    )


def test_a_ledger_of_the_first_format_is_brought_up_and_keeps_its_runs() -> None:
    with Ledger.open() as ledger:
        number, path = ledger.record(run()), ledger.path
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE runs DROP COLUMN forecast_given_s")
        for table in ("taken", "identity"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 1")
    db.close()
    with Ledger.open() as ledger:
        second = ledger.record(run(forecast_s=9.0, forecast_given_s=5.0))
        assert ledger.run(number).forecast_given_s is None and ledger.run(second).forecast_given_s == 5.0
        assert ledger.identity and [id for id, _ in ledger.own_since(0)] == [number, second]


def test_the_error_of_a_forecast_is_told_with_and_without_that_of_the_length() -> None:
    took = Profile(model="m", outcome="done", total_s=10.0, tokens_in=100, tokens_out=50)
    with Ledger.open() as ledger:
        for forecast_s in (5.0, 20.0, 15.0):
            ledger.record(run(profile=took, forecast_s=forecast_s, forecast_given_s=10.5))
        accuracy = ledger.accuracy()
    assert accuracy.median_error == pytest.approx(0.5)
    assert accuracy.median_error_given_length == pytest.approx(0.05)
