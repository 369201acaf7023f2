"""Who takes which order: nothing is left lying, and a slow host does not hold up the end."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.batch.schedule import AtWork, Kind, Schedule, bucket_of

SPEEDS = st.one_of(st.floats(0.1, 100), st.none(), st.just(math.inf))


def kind(model: str = "m", bucket: int = 10) -> Kind:
    return Kind((model, (), "answer", None), bucket)


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.dictionaries(st.integers(0, 3), SPEEDS, min_size=4), min_size=1
    ),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30),
)
def test_every_order_that_somebody_can_take_is_taken(
    hosts: dict[str, dict[int, float | None]], orders: list[tuple[int, int]]
) -> None:
    schedule = Schedule(lambda host, one: hosts[host][one.bucket])
    for number, (bucket, priority) in enumerate(orders):
        schedule.add(str(number), kind(bucket=bucket), priority)
    taken = list[str]()
    while True:
        before = len(taken)
        for host in hosts:  # nobody is at work: whoever is asked may take one
            others = {other: AtWork(slots=1, left_s=0.0) for other in hosts if other != host}
            if chosen := schedule.take(host, others):
                taken.append(chosen[0])
        if len(taken) == before:
            break
    able = {
        str(n) for n, (bucket, _) in enumerate(orders) if any(hosts[h][bucket] != math.inf for h in hosts)
    }
    assert sorted(taken) == sorted(able)


def test_a_slow_host_leaves_the_last_order_to_the_fast_one() -> None:
    schedule = Schedule(lambda host, one: {"slow": 100.0, "fast": 10.0}[host])
    schedule.add("last", kind())
    assert schedule.take("slow", {"fast": AtWork(slots=1, left_s=5.0)}) is None
    assert schedule.take("slow", {"fast": AtWork(slots=1, left_s=500.0)}) == ("last", kind())


def test_a_larger_priority_goes_first_and_of_one_priority_the_longest() -> None:
    schedule = Schedule(lambda host, one: float(one.bucket))
    schedule.add("short", kind(bucket=bucket_of(10)))
    schedule.add("long", kind(bucket=bucket_of(100_000)))
    schedule.add("urgent", kind(bucket=bucket_of(10)), priority=1)
    taken = [schedule.take("a", {}) for _ in range(3)]
    assert [one[0] for one in taken if one] == ["urgent", "long", "short"]
