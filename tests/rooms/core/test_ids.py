"""Identifiers and chance: never the same bytes twice, in no thread and no child."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from beckon.core.ids import chance, derived, fresh


def test_chance_is_given_out_once_over_many_refills():
    given = [chance(16) for _ in range(20_000)]
    assert len(set(given)) == 20_000
    assert {len(one) for one in given} == {16}


def test_more_than_the_pool_holds_is_given_all_the_same():
    assert len(chance(20_000)) == 20_000
    assert len(set(chance(20_000))) == 256


def test_threads_never_share_chance():
    with ThreadPoolExecutor(8) as threads:
        given = list(chain.from_iterable(threads.map(lambda _: [chance(8) for _ in range(2_000)], range(8))))
    assert len(set(given)) == 16_000


def test_a_forked_child_does_not_give_out_its_parents_chance():
    chance(1)  # the pool is full
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, chance(32))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    assert len(theirs) == 32
    assert theirs != chance(32)


def test_ids_are_fresh_ordered_by_time_and_derived_ones_the_same():
    made = [fresh("evt") for _ in range(5_000)]
    assert len(set(made)) == 5_000
    assert [one[:13] for one in made] == sorted(one[:13] for one in made)
    assert derived("run", "a", "b") == derived("run", "a", "b") != derived("run", "ab")
