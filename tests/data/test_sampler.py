"""Ranks partition an epoch exactly, and everything follows from seed, epoch and step."""

from collections import Counter
from itertools import chain

import pytest

from neurolib.data.sampler import Sampler, shares

SIZES = {"spike": 100, "eeg": 37, "fmri": 5}


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_size", [1, 4, 10])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_ranks_partition_the_epoch_exactly(world, batch_size, mixed, power):
    sampler = Sampler(SIZES, batch_size, seed=3, power=power, mixed=mixed, drop_last=False)
    for epoch in (0, 1):
        drawn = Counter(row for rows in sampler.rows(epoch).values() for row in rows.tolist())
        heard = Counter(chain(*(chain(*sampler.batches(epoch, rank, world)) for rank in range(world))))
        assert heard == drawn and drawn.total() == 142
    if power == 1.0:
        assert heard == Counter(range(142))


@pytest.mark.parametrize("world", [1, 2, 5])
def test_full_batches_give_all_processes_as_many_steps(world):
    sampler = Sampler(SIZES, 10)
    steps = [list(sampler.batches(0, rank, world)) for rank in range(world)]
    assert {len(mine) for mine in steps} == {sampler.n_batches()}
    for parts in zip(*steps, strict=True):
        batch = [row for part in parts for row in part]
        assert len(batch) == 10 and len({row < 100 for row in batch}) == 1  # of one set


def test_small_sets_are_heard_more_than_their_size_says():
    assert shares(SIZES, 1.0)["fmri"] == pytest.approx(5 / 142)
    root = {name: size**0.5 for name, size in SIZES.items()}
    drawn = Sampler(SIZES, 8, epoch_rows=1000).drawn
    assert sum(drawn.values()) == 1000
    for name, n in drawn.items():
        assert abs(n - 1000 * root[name] / sum(root.values())) < 1


def test_no_row_is_heard_twice_before_all_were_once():
    sampler = Sampler(SIZES, 1, epoch_rows=30)
    heard = {name: Counter() for name in SIZES}
    for epoch in range(8):
        for name, rows in sampler.rows(epoch).items():
            heard[name].update(rows.tolist())
    for name, first, last in (("spike", 0, 100), ("eeg", 100, 137), ("fmri", 137, 142)):
        counts = [heard[name][row] for row in range(first, last)]
        assert sum(counts) == heard[name].total() and max(counts) - min(counts) <= 1


def test_the_same_again_and_on_from_any_step():
    sampler = Sampler(SIZES, 4, seed=1)
    whole = list(sampler.batches(2))
    assert list(Sampler(SIZES, 4, seed=1).batches(2, start=5)) == whole[5:]
    assert list(sampler.batches(3)) != whole != list(Sampler(SIZES, 4, seed=2).batches(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": {"a": 0}}, "without rows: a"),
        ({"power": 2.0}, "power=2.0"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        Sampler(**({"sizes": {"a": 3}, "batch_size": 2} | change))
    with pytest.raises(ValueError, match="each needs a row"):
        next(Sampler({"a": 3}, 2).batches(0, 0, 3))
