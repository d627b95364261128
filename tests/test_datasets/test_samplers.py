"""Draws: every pass complete, ranks disjoint, skipping exact."""

import itertools
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet3d_medical.datasets import samplers
from mmdet3d_medical.datasets.samplers import Draw, InfiniteDrawSampler


def take(sampler, count):
    return list(itertools.islice(sampler, count))


def test_each_pass_holds_every_scan_once_in_another_order():
    draws = take(InfiniteDrawSampler(range(20), seed=3), 60)
    passes = [[draw.index for draw in draws[k : k + 20]] for k in (0, 20, 40)]
    assert all(sorted(one) == list(range(20)) for one in passes)
    assert passes[0] != passes[1] != passes[2]
    assert [draw.number for draw in draws] == list(range(60))


def test_seed_decides_the_order():
    first, again, other = (take(InfiniteDrawSampler(range(20), seed=s), 20) for s in (1, 1, 2))
    assert first == again != other


def test_without_shuffling_the_order_is_that_of_the_data_set():
    draws = take(InfiniteDrawSampler(range(3), shuffle=False, seed=0), 5)
    assert draws == [Draw(0, 0), Draw(1, 1), Draw(2, 2), Draw(0, 3), Draw(1, 4)]


def test_one_scan_is_drawn_again_and_again():
    assert take(InfiniteDrawSampler(range(1), seed=0), 3) == [Draw(0, 0), Draw(0, 1), Draw(0, 2)]


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(1, 9),
    world=st.integers(1, 4),
    skipped=st.integers(0, 30),
    seed=st.integers(0, 5),
)
def test_ranks_share_one_sequence_and_skipping_goes_on_in_it(size, world, skipped, seed):
    whole = take(InfiniteDrawSampler(range(size), seed=seed), 200)
    for rank in range(world):
        sampler = InfiniteDrawSampler(range(size), seed=seed)
        sampler.rank, sampler.world_size = rank, world
        sampler.skip(skipped)
        assert take(sampler, 8) == whole[rank::world][skipped : skipped + 8]


def test_rank_comes_from_the_process_group(monkeypatch):
    monkeypatch.setattr(samplers, 'get_dist_info', lambda: (1, 3))
    assert [d.number for d in take(InfiniteDrawSampler(range(5), seed=0), 3)] == [1, 4, 7]


def test_skip_is_absolute():
    sampler = InfiniteDrawSampler(range(5), seed=0)
    sampler.skip(4)
    sampler.skip(2)
    assert take(sampler, 1)[0].number == 2


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match='without samples'):
        InfiniteDrawSampler([], seed=0)
    with pytest.raises(ValueError, match='negative, found -1'):
        InfiniteDrawSampler(range(2), seed=0).skip(-1)


def test_draws_survive_a_worker_process():
    assert pickle.loads(pickle.dumps(Draw(2, 7))) == Draw(2, 7)
