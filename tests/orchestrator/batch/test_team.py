"""A team's batches on a real PostgreSQL: workers that die, a database that restarts, an order that is cancelled."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks.postgres import Postgres, programs
from benchmarks.team import proven
from orchestrator.batch.orders import BatchOrder, Keyed, keyed
from orchestrator.batch.queue import BatchFile, Lost, Queue
from orchestrator.batch.team_ledger import TeamLedger
from orchestrator.batch.team_queue import OFFERED, TeamQueue
from servers.ollama.ledger.ledger import Key, Ledger, Run
from servers.ollama.ledger.profile import Profile
from tests.command import Running, begun, understudy
from tests.orchestrator.batch.test_batch import engine, orders, receipts
from tests.processes import until
from tests.results import described

needs_postgres = pytest.mark.skipif(
    programs() is None and "CI" not in os.environ, reason="PostgreSQL is not installed"
)


Open = Callable[[], Queue]


@pytest.fixture(params=["file", pytest.param("team", marks=needs_postgres)])
def open_queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one queue again and again, each time as another process would."""
    opened = list[BatchFile | TeamQueue]()

    def one() -> Queue:
        if request.param == "file":
            opened.append(BatchFile(tmp_path / "b.sqlite"))
        else:
            opened.append(TeamQueue(request.getfixturevalue("database").url, batch=tmp_path.name))
        return opened[-1]

    yield one
    for queue in opened:
        queue.close()


def some(*orders: BatchOrder) -> list[tuple[Keyed, int]]:
    return [(one, 10) for one in keyed(enumerate(orders, 1))]


def test_an_order_is_kept_once_taken_once_and_ended_once(open_queue: Open) -> None:
    queue = open_queue()
    many = some(BatchOrder(task="a"), BatchOrder(task="b", priority=2, tags=("gpu",)))
    assert queue.add(many) == 2 and open_queue().add(many) == 0
    waiting = {one.order.task: one for one in queue.waiting()}
    assert waiting["b"].priority == 2 and waiting["b"].order.tags == ("gpu",) and waiting["a"].size == 10
    key = waiting["a"].key
    kept = queue.take(key, "here")
    assert kept and kept.tries == 1 and kept.host == "here" and kept.order.task == "a"
    assert queue.take(key, "there") is None
    queue.intend(key, {"outcome": "accepted"})
    queue.give_back(key, "it was wrong")
    again = queue.take(key, "there")
    assert again and again.tries == 2 and again.reason == "it was wrong" and again.intent is None
    queue.end(key, "done", {"key": key, "ok": True})
    assert queue.counts() == {"done": 1, "waiting": 1} and list(queue.records()) == [{"key": key, "ok": True}]


def test_what_nobody_runs_any_more_is_found(open_queue: Open) -> None:
    queue = open_queue()
    queue.add(some(BatchOrder(task="a"), BatchOrder(task="b")))
    first, second = [one.key for one in queue.waiting()]
    queue.take(first, "h")
    queue.take(second, "h")
    assert [one.key for one in queue.interrupted({second})] == [first]
    queue.give_back(first, None, tried=False)
    kept = queue.take(first, "h")
    assert kept and kept.tries == 1


@needs_postgres
def test_a_worker_sees_every_order_though_it_looks_at_some_at_a_time(database: Postgres) -> None:
    client = TeamQueue(database.url, batch="many")
    client.add(some(*(BatchOrder(task=f"{number}") for number in range(2 * OFFERED + 5))))
    worker = TeamQueue(database.url)
    seen = {one.key for _ in range(3) for one in worker.waiting()}
    assert len(seen) == 2 * OFFERED + 5
    worker.close()
    client.close()


@needs_postgres
def test_a_dead_workers_order_is_taken_over_and_its_own_word_counts_no_more(database: Postgres) -> None:
    client = TeamQueue(database.url, batch="dead")
    client.add(some(BatchOrder(task="a")))
    dead, other = TeamQueue(database.url), TeamQueue(database.url)
    key = next(one.key for one in other.waiting() if one.key.startswith("dead:"))
    assert dead.take(key, "h") and other.interrupted(()) == []
    dead.close()
    taken: list[str] = []

    def noticed() -> list[str]:  # the server notices the end of a connection a moment later
        taken.extend(one.key for one in other.interrupted(()))
        return taken

    until(noticed, "the end of the dead worker")
    assert taken == [key]
    zombie = TeamQueue(database.url)
    zombie.worker = dead.worker
    with pytest.raises(Lost):
        zombie.intend(key, {})
    zombie.end(key, "failed", {})
    other.end(key, "done", {"key": key})
    assert client.counts() == {"done": 1}
    for queue in (client, other, zombie):
        queue.close()


@needs_postgres
def test_worker_coordinator_and_database_die_and_every_order_is_done_once(
    tmp_path: Path, database: Postgres
) -> None:
    found = proven(tmp_path, database, 60, lambda words, env: begun(*words, cwd=tmp_path, env=env))
    assert (found.receipts, found.twice, found.failed, found.overlaps) == (60, 0, 0, 0)
    assert found.writes == {f"out/{number}.txt": 1 for number in range(60)}
    assert len(found.per_host) == 3


@needs_postgres
def test_another_machine_sees_by_the_file_that_a_dead_one_has_written_it(
    tmp_path: Path, database: Postgres
) -> None:
    """Killed between the write and its receipt, where only the dead machine's undo store knows the write.

    The server notices the death though it is busy for the dead one.
    """
    path, out = orders(tmp_path, {"task": "once", "write": "made.txt"}), tmp_path / "r.jsonl"
    TeamQueue(database.url).close()  # makes the tables
    with psycopg.connect(database.url, autocommit=True) as db, engine() as (url, world):
        db.execute(
            "CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$"
        )
        db.execute(
            "CREATE TRIGGER stuck BEFORE UPDATE ON understudy_orders FOR EACH ROW WHEN (NEW.state = 'done')"
            " EXECUTE FUNCTION stuck()"
        )

        def at(home: str, *words: str) -> Running:
            env = {"UNDERSTUDY_DB": database.url, "UNDERSTUDY_HOME": str(tmp_path / home)}
            return begun(*words, cwd=tmp_path, env=env)

        client = at("client", "batch", str(path), "--out", str(out))
        dead = at("one", "worker", "--host", url)
        sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        until(lambda: db.execute(sleeping).fetchall(), "the write", by=dead)
        dead.kill()
        dead.communicate(timeout=60)
        written, chats = (tmp_path / "made.txt").stat(), len(world.requests)
        db.execute("DROP TRIGGER stuck ON understudy_orders")
        other = at("two", "worker", "--host", url)
        _, said = client.communicate(timeout=60)
        assert client.returncode == 0, said
        other.terminate()
        other.communicate(timeout=60)
        assert not any("messages" in body for body in world.requests[chats:]), "the model was asked again"
    (receipt,) = receipts(out)
    assert receipt["ok"] and receipt["outcome"] == "written" and list(receipt["revs"]) == ["made.txt"]
    assert (tmp_path / "made.txt").stat().st_ino == written.st_ino


@needs_postgres
def test_a_team_reads_all_runs_in_one_place_and_learns_from_those_on_its_own_hosts(
    tmp_path: Path, database: Postgres
) -> None:
    def run(host: str, **also: Any) -> Run:
        profile = Profile(model="small", outcome="done", total_s=2.0, decode_tokens_per_s=30.0, tokens_out=9)
        return Run(key=Key(host=host, digest="d"), profile=profile, kind="edit", **also)

    with Ledger.open(tmp_path / "a.sqlite") as one, Ledger.open(tmp_path / "b.sqlite") as two:
        first, second = TeamLedger(database.url, one), TeamLedger(database.url, two)
        for number in range(3):
            one.record(run("gpu1", gate_passed=number > 0))
        one.record(run("laptop"))
        assert first.send() == 4 and first.send() == 0
        database.stop()
        assert two.record(run("gpu1")) == 1, "the ledger of a machine needs no network"
        database.start()
        one.rate(1, "rejected")
        assert first.send() == 0 and second.send() == 1
        assert second.fetch({"gpu1"}) == 3 and second.fetch({"gpu1"}) == 0
        learned = two.runs(key=Key(host="gpu1", digest="d"))
        assert len(learned) == 4 and not two.runs(host="laptop")
        assert two.summary(model="small", kind="edit")[0].gate_passed == 2
        assert second.send() == 0, "what came from others is not sent as its own"
        totals = {total["host"]: total for total in second.totals()}
        gpu = totals["gpu1"]
        assert (gpu["runs"], gpu["passed"], gpu["judged"], gpu["rejected"]) == (4, 2, 3, 1)
        assert gpu["median_s"] == 2.0 and totals["laptop"]["runs"] == 1
        first.close()
        second.close()


@needs_postgres
def test_a_cancelled_order_is_stopped_while_it_runs(tmp_path: Path, database: Postgres) -> None:
    path, out = orders(tmp_path, {"task": "long"}), tmp_path / "r.jsonl"
    env = {"UNDERSTUDY_DB": database.url}
    with engine(scale=100.0) as (url, world):
        client = begun("batch", str(path), "--out", str(out), cwd=tmp_path, env=env)
        worker = begun("worker", "--host", url, cwd=tmp_path, env=env)
        until(lambda: world.requests, "the first question", by=worker)
        from orchestrator.batch.open import id_of

        done = understudy("batch", "cancel", id_of(out), "--json", cwd=tmp_path, env=env)
        assert described("batch", done.stdout)["batches"][0]["changed"] == 1
        assert client.wait(60) == 1
        worker.terminate()
        _, said = worker.communicate(timeout=60)
        assert worker.returncode == 0 and "was cancelled or taken over" in said
        shown = understudy("profile", "--team", "--json", cwd=tmp_path, env=env)
        (total,) = described("profile", shown.stdout)["totals"]
        assert total["model"] == "small (simulated)" and total["done"] == 0 and total["runs"] == 1


def test_a_team_without_a_database_is_one_sentence(tmp_path: Path) -> None:
    path = orders(tmp_path, {"task": "x"})
    for words in (["worker"], ["batch", str(path), "--out", "r", "--db", "postgresql://127.0.0.1:9/x"]):
        done = understudy(*words, cwd=tmp_path)
        assert done.returncode in (1, 2) and len(done.stderr.splitlines()) <= 2, done.stderr
