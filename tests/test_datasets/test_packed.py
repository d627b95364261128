"""Packed scans are those that were packed."""

import copy

import numpy as np
import pytest

from mmdet3d_medical.datasets.packed import PackedScans

SCANS = [dict(scan_id=name, instances=[dict(center=[0.1, 2, -3e5])] * n) for n, name in
         enumerate(['a', 'Größe', '漢字', 'd'])]  # fmt: skip


@pytest.fixture
def packed():
    return PackedScans.of(copy.deepcopy(scan) for scan in SCANS)


def test_round_trip(packed):
    assert len(packed) == 4 and list(packed) == SCANS
    assert packed[0] == SCANS[0] and packed[-1] == packed[np.int64(3)] == SCANS[3]
    assert SCANS[2] in packed and PackedScans.of(packed) is packed
    for position in (4, -5):
        with pytest.raises(IndexError):
            packed[position]


def test_parts(packed):
    assert list(packed.take([2, 0, 2])) == [SCANS[2], SCANS[0], SCANS[2]]
    assert list(packed[1:3]) == SCANS[1:3] and list(packed[::-2]) == SCANS[::-2]
    assert list(packed[:0]) == list(packed.take([])) == list(PackedScans.of([])) == []
    assert packed[:].data is packed.data


def test_a_scan_that_is_changed_stays_as_it_was_here(packed):
    packed[1]['instances'].clear()
    assert packed[1] == SCANS[1]
    with pytest.raises(ValueError, match='read-only'):
        packed.data[0] = 0


def test_memory_is_that_of_the_bytes(packed):
    assert packed.data.dtype == np.uint8 and packed.stops[-1] == packed.data.size < 1000
