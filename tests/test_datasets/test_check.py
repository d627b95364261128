"""Every fault that a user's data may have is found, and sound data has none."""
import copy
from pathlib import Path

import numpy as np
import pytest

from mmdet3d_medical.datasets.check import check_scans

DIRECTION = [1, 0, 0, 0, 1, 0, 0, 0, 1]


def make_scan(root, scan_id, seed, **geometry):
    volume = np.random.default_rng(seed).integers(-1000, 400, (12, 16, 16)).astype(np.int16)
    path = Path(root) / 'volumes' / f'{scan_id}.npy'
    path.parent.mkdir(exist_ok=True)
    np.save(path, volume)
    instance = dict(center=[5.0, 5.0, 5.0], size=[4.0, 4.0, 4.0], diameter=4.0, label=0,
                    ignore=False)
    return dict(scan_id=scan_id, volume=f'volumes/{scan_id}.npy', annotated=True,
                instances=[instance],
                geometry=dict(origin=[0, 0, 0], spacing=[1, 1, 1], direction=DIRECTION,
                              shape=[12, 16, 16]) | geometry)


@pytest.fixture
def scans(tmp_path):
    return [make_scan(tmp_path, name, seed) for seed, name in enumerate('abc')]


def replace_voxels(tmp_path, change):
    path = tmp_path / 'volumes/b.npy'
    np.save(path, change(np.load(path)))


def test_sound_data_has_no_problems(scans, tmp_path):
    assert check_scans(scans, tmp_path) == []
    scans[0]['annotated'], scans[0]['instances'] = False, []
    scans[1]['instances'][0].update(ignore=True, center=[99.0, 0.0, 0.0])
    assert check_scans(scans, tmp_path) == []


@pytest.mark.parametrize('change, level, message', [
    (lambda scan, root: (root / scan['volume']).unlink(), 'error', 'no volume at'),
    (lambda scan, root: (root / scan['volume']).write_bytes(b'zip'), 'error', 'not a readable'),
    (lambda scan, root: scan['geometry'].update(shape=[1, 2, 3]), 'error', 'expected int16 of'),
    (lambda scan, root: scan['geometry'].update(direction=[0] * 9), 'error', 'direction'),
    (lambda scan, root: scan.update(volume='volumes/a.npy'), 'error', 'same content as a'),
    (lambda scan, root: replace_voxels(root, lambda v: v * 0), 'error', 'every voxel is 0'),
    (lambda scan, root: replace_voxels(root, lambda v: v + np.int16(1024)), 'warning', 'no air'),
    (lambda scan, root: replace_voxels(root, lambda v: v * np.int16(60)), 'warning', 'is this HU'),
    (lambda scan, root: scan['geometry'].update(spacing=[1, 1, 2.1]), 'warning',
     'spacing (x, y, z) [1.0, 1.0, 2.1] mm, the median is [1.0, 1.0, 1.0]'),
    (lambda scan, root: scan['geometry'].update(direction=[-1, 0, 0, 0, -1, 0, 0, 0, 1],
                                                origin=[15, 15, 0]), 'warning', 'nearest to LPS'),
    (lambda scan, root: scan['instances'][0].update(center=[5, 5, 11.6]), 'error',
     'lesion at [5.0, 5.0, 11.6] mm lies outside the volume'),
    (lambda scan, root: scan['instances'].append(scan['instances'][0]), 'warning', 'twice'),
    (lambda scan, root: scan['instances'][0].update(size=[.9, .9, .9]), 'warning', 'than a voxel'),
    (lambda scan, root: scan['instances'][0].update(size=[151, 4, 4]), 'warning', '151 mm wide')])
def test_fault_is_found_in_the_scan_that_has_it(scans, tmp_path, change, level, message):
    scans = copy.deepcopy(scans)
    change(scans[1], tmp_path)
    problem, = check_scans(scans, tmp_path)
    assert (problem.level, problem.scan_id) == (level, 'b') and message in problem.message


def test_errors_come_first_and_missing_lesions_are_told(scans, tmp_path):
    scans = [dict(scan, instances=[]) for scan in scans]
    (tmp_path / 'volumes/c.npy').unlink()
    problems = check_scans(scans, tmp_path)
    assert [problem.level for problem in problems] == ['error', 'warning']
    assert problems[1].message == 'no scan has a lesion'


def test_no_scans_are_no_problem(tmp_path):
    assert check_scans([], tmp_path) == []
