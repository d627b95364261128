"""Every fault that a user's data may have is found, and sound data has none."""

import copy
from pathlib import Path

import numpy as np
import pytest

from mmdet3d_medical.datasets.check import check_config, check_scans, check_splits
from mmdet3d_medical.datasets.check.config import class_mismatch

DIRECTION = [1, 0, 0, 0, 1, 0, 0, 0, 1]


def make_scan(root, scan_id, seed, **geometry):
    volume = np.random.default_rng(seed).integers(-1000, 400, (12, 16, 16)).astype(np.int16)
    path = Path(root) / 'volumes' / f'{scan_id}.npy'
    path.parent.mkdir(exist_ok=True)
    np.save(path, volume)
    instance = dict(
        center=[5.0, 5.0, 5.0], size=[4.0, 4.0, 4.0], diameter=4.0, label=0, ignore=False
    )
    return dict(
        scan_id=scan_id,
        volume=f'volumes/{scan_id}.npy',
        annotated=True,
        instances=[instance],
        geometry=dict(origin=[0, 0, 0], spacing=[1, 1, 1], direction=DIRECTION, shape=[12, 16, 16])
        | geometry,
    )


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


@pytest.mark.parametrize(
    'change, level, message',
    [
        (lambda scan, root: (root / scan['volume']).unlink(), 'error', 'no volume at'),
        (lambda scan, root: (root / scan['volume']).write_bytes(b'zip'), 'error', 'not a readable'),
        (lambda scan, root: scan['geometry'].update(shape=[1, 2, 3]), 'error', 'expected int16 of'),
        (lambda scan, root: scan['geometry'].update(direction=[0] * 9), 'error', 'direction'),
        (lambda scan, root: scan.update(volume='volumes/a.npy'), 'error', 'same content as a'),
        (lambda scan, root: replace_voxels(root, lambda v: v * 0), 'error', 'every voxel is 0'),
        (
            lambda scan, root: replace_voxels(root, lambda v: v + np.int16(1024)),
            'warning',
            'no air',
        ),
        (
            lambda scan, root: replace_voxels(root, lambda v: v * np.int16(60)),
            'warning',
            'is this HU',
        ),
        (
            lambda scan, root: scan['geometry'].update(spacing=[1, 1, 2.1]),
            'warning',
            'spacing (x, y, z) [1.0, 1.0, 2.1] mm, the median is [1.0, 1.0, 1.0]',
        ),
        (
            lambda scan, root: scan['geometry'].update(
                direction=[-1, 0, 0, 0, -1, 0, 0, 0, 1], origin=[15, 15, 0]
            ),
            'warning',
            'nearest to LPS',
        ),
        (
            lambda scan, root: scan['instances'][0].update(center=[5, 5, 11.6]),
            'error',
            'lesion at [5.0, 5.0, 11.6] mm lies outside the volume',
        ),
        (lambda scan, root: scan['instances'].append(scan['instances'][0]), 'warning', 'twice'),
        (
            lambda scan, root: scan['instances'][0].update(size=[0.9, 0.9, 0.9]),
            'warning',
            'than a voxel',
        ),
        (
            lambda scan, root: scan['instances'][0].update(size=[151, 4, 4]),
            'warning',
            '151 mm wide',
        ),
    ],
)
def test_fault_is_found_in_the_scan_that_has_it(scans, tmp_path, change, level, message):
    scans = copy.deepcopy(scans)
    change(scans[1], tmp_path)
    (problem,) = check_scans(scans, tmp_path)
    assert (problem.level, problem.scan_id) == (level, 'b') and message in problem.message


def test_errors_come_first_and_missing_lesions_are_told(scans, tmp_path):
    scans = [dict(scan, instances=[]) for scan in scans]
    (tmp_path / 'volumes/c.npy').unlink()
    problems = check_scans(scans, tmp_path)
    assert [problem.level for problem in problems] == ['error', 'warning']
    assert problems[1].message == 'no scan has a lesion'


def test_no_scans_are_no_problem(tmp_path):
    assert check_scans([], tmp_path) == []


def with_value(where, value):
    """Set voxels of scan b, (12, 16, 16), to one value."""

    def change(scan, root):
        volume = np.load(root / scan['volume'])
        volume[where] = value
        np.save(root / scan['volume'], volume)

    return change


@pytest.mark.tried('data set', 'a file cut off: slices of one value at an end', 'warning')
@pytest.mark.tried('data set', 'padding of 3071 or 32767 HU, values beyond HU', 'warning')
@pytest.mark.tried('data set', 'a lesion where all voxels have one value', 'error')
@pytest.mark.tried('data set', 'a lesion in air', 'warning')
@pytest.mark.parametrize(
    'change, level, message',
    [
        (
            with_value(np.s_[9:], 0),
            'warning',
            'one value only: 25% at the head (0 HU): is the file',
        ),
        (with_value(np.s_[:3], -1024), 'warning', 'one value only: 25% at the feet (-1024 HU)'),
        (with_value(np.s_[:, :4], 40), 'warning', 'one value only: 25% at the front (40 HU)'),
        (with_value(np.s_[:, :, 12:], 40), 'warning', 'one value only: 25% at the left (40 HU)'),
        (with_value(np.s_[:, 7:, 5:], 3071), 'warning', 'have the highest value 3071: padding'),
        (with_value(np.s_[:, 7:, 5:], 32767), 'warning', 'have the highest value 32767: padding'),
        (
            with_value(np.s_[4, 8, 8], 3200),
            'warning',
            '2.1% of the voxels are outside -1100 to 3100',
        ),
        (
            with_value(np.s_[3:9, 3:9, 3:9], 40),
            'error',
            'mm holds the value 40 only: is it the right',
        ),
        (
            lambda scan, root: replace_voxels(
                root,
                lambda v: np.where(np.indices(v.shape).max(0) < 9, v // 40 - 975, v).astype(
                    np.int16
                ),
            ),
            'warning',
            'mm holds air only, up to -966 HU',
        ),
    ],
)
def test_voxels_that_tell_a_fault(scans, tmp_path, change, level, message):
    change(scans[1], tmp_path)
    (problem,) = check_scans(scans, tmp_path)
    assert (problem.level, problem.scan_id) == (level, 'b') and message in problem.message


def test_what_real_scans_have_is_no_problem(scans, tmp_path):
    with_value(np.s_[:, :4], -1024)(scans[0], tmp_path)  # outside the field of view
    with_value(np.s_[:4, 8:, 12:], 3071)(scans[1], tmp_path)  # metal
    with_value(np.s_[9:], 0)(scans[2], tmp_path)  # filled outside the lungs
    problems = check_scans(scans, tmp_path, filled=0)
    assert [problem.kind for problem in problems] == []
    with_value(np.s_[3:9, 3:9, 3:9], 0)(scans[2], tmp_path)
    (problem,) = check_scans(scans, tmp_path, filled=0)
    assert problem.level == 'warning' and 'holds the value 0 only' in problem.message


@pytest.mark.tried('data set', 'a volume as large as a chest without lungs', 'warning')
@pytest.mark.parametrize('lung_hu, found', [(-800, []), (40, ['lungs'])])
def test_lungs_are_looked_for_in_volumes_as_large_as_a_chest(tmp_path, lung_hu, found):
    volume = np.random.default_rng(0).normal(40, 30, (24, 32, 48)).astype(np.int16)
    volume[:, :2] = np.random.default_rng(1).normal(-1000, 20, volume[:, :2].shape)
    volume[8:16, 8:16, 8:40] = lung_hu
    (tmp_path / 'volumes').mkdir()
    scan = make_scan(tmp_path, 'a', 0, shape=[24, 32, 48], spacing=[5, 5, 5])
    np.save(tmp_path / 'volumes/a.npy', volume)
    scan['instances'] = []
    kinds = [problem.kind for problem in check_scans([scan], tmp_path)]
    assert kinds == [*found, 'no lesion']


@pytest.mark.tried('data set', 'a lesion ten times as large as the others', 'warning')
def test_sizes_far_from_the_others(scans, tmp_path):
    lesion = scans[0]['instances'][0]
    for number in range(20):
        diameter = 4.0 + number % 3
        scans[0]['instances'].append(dict(lesion, center=[5, 5, number / 4], diameter=diameter))
    assert [problem.kind for problem in check_scans(scans, tmp_path)] == []
    scans[1]['instances'][0].update(diameter=40.0)
    (problem,) = check_scans(scans, tmp_path)
    assert problem.scan_id == 'b'
    assert 'a diameter of 40.0 mm, the median of 23 is 5.0 mm' in problem.message


def test_volumes_outside_the_folder_are_not_read(scans, tmp_path):
    (tmp_path / 'inner').mkdir()
    scans = [dict(scan, volume=f'../{scan["volume"]}') for scan in scans]
    problems = check_scans(scans, tmp_path / 'inner')
    assert [p.level for p in problems] == ['error'] * 3 and 'outside' in problems[0].message
    assert check_scans(scans, tmp_path / 'inner', allow_outside=True) == []


@pytest.mark.tried('data set', 'a patient or a scan in lists for training and in test.txt', 'error')
def test_lists_keep_patients_apart(scans, tmp_path):
    assert check_splits(scans, tmp_path / 'none') == []
    for scan, patient in zip(scans, ('p', 'q', 'p'), strict=True):
        scan['patient'] = patient
    (tmp_path / 'train.txt').write_text('a\n')
    (tmp_path / 'labeled_1.txt').write_text('a\n')
    (tmp_path / 'test.txt').write_text('b\n')
    assert check_splits(scans, tmp_path) == []
    (tmp_path / 'unlabeled_1.txt').write_text('c\n')
    (tmp_path / 'test.txt').write_text('b\nc\nd\n')
    assert [problem.message.split(':')[0] for problem in check_splits(scans, tmp_path)] == [
        '1 scans of the lists are not in the index, the first is d',
        '1 scans are for training and for testing, the first is c',
        '1 patients have scans for training and for testing, the first is p',
    ]
    for scan in scans:
        scan['patient'] = None
    assert not any('patients' in problem.message for problem in check_splits(scans, tmp_path))


def make_config(**head):
    """A detector within another one: anchors of 4 and 8 voxels, patches of 16."""
    head = (
        dict(
            num_classes=1,
            assigner=dict(type='ATSS3DAssigner'),
            anchor_generator=dict(type='Anchor3DGenerator', strides=[2, 4], sizes=[[4], [8]]),
        )
        | head
    )
    return dict(
        model=dict(
            type='FocalMixDetector',
            detector=dict(
                data_preprocessor=dict(type='VolumeDataPreprocessor', window=(-1000, 400)),
                backbone=dict(args=dict(num_classes=5)),
                bbox_head=head,
            ),
        ),
        train_dataloader=dict(
            dataset=dict(
                datasets=[
                    dict(
                        pipeline=[
                            dict(type='LoadVolume'),
                            dict(type='RandomCrop3D', size=(16, 16, 16)),
                        ]
                    )
                ]
            )
        ),
    )


def check_fit(scans, root, config, classes=('nodule',)):
    return [
        (problem.level, problem.kind)
        for problem in check_config(dict(scans=scans, classes=list(classes)), root, config)
    ]


@pytest.mark.tried('data set', 'lesions that no anchor fits, or larger than the patch', 'warning')
@pytest.mark.tried('data set', 'a window that few voxels lie in', 'warning')
@pytest.mark.tried('data set', 'another number of classes than the config has', 'error')
def test_a_config_that_does_not_fit(scans, tmp_path):
    assert check_fit(scans, tmp_path, make_config()) == []
    assert check_fit(scans, tmp_path, {}) == []
    assert check_fit(scans, tmp_path, make_config(), ['a', 'b']) == [('error', 'classes')]
    # A cube of 16 voxels and an anchor of 8: IoU 1/8. Of 2 mm in voxels of 1 mm and one of 4: 1/8.
    for size, kinds in ((16.0, []), (16.1, ['anchors', 'patch']), (2.0, []), (1.9, ['anchors'])):
        scans[1]['instances'][0]['size'] = [size] * 3
        assert check_fit(scans, tmp_path, make_config()) == [('warning', kind) for kind in kinds]
    # Voxels of 2 mm: the same lesion has half as many along each axis.
    scans[1]['geometry']['spacing'] = [2, 2, 2]
    scans[1]['instances'][0]['size'] = [3.9] * 3
    (problem,) = check_config(dict(scans=scans, classes=['nodule']), tmp_path, make_config())
    assert problem.message.startswith('1 of 3 lesions fit no anchor: the best IoU is below 0.125')
    assert problem.message.endswith('the first has (z, y, x) [2.0, 2.0, 2.0] voxels, in b')
    assert check_fit(scans, tmp_path, make_config(assigner=dict(type='Cell3DAssigner'))) == []


def test_a_strict_iou_rule_is_taken_from_the_config(scans, tmp_path):
    scans[0]['instances'][0]['size'] = [6.0] * 3  # IoU 27/64 with an anchor of 8
    rule = dict(type='mmdet.MaxIoUAssigner', pos_iou_thr=0.5)
    assert check_fit(scans, tmp_path, make_config(assigner=rule)) == []
    strict = make_config(assigner=dict(rule, match_low_quality=False))
    assert check_fit(scans, tmp_path, strict) == [('warning', 'anchors')]


def test_a_window_beside_the_values(scans, tmp_path):
    config = make_config()
    config['model']['detector']['data_preprocessor']['window'] = (0, 100)  # 100 of 1400 values
    assert check_fit(scans, tmp_path, config) == [('warning', 'window')]


def test_numbers_of_classes():
    assert class_mismatch(2, ['cyst', 'mass']) is None
    assert class_mismatch(1, ['cyst', 'mass']) == (
        'the config has num_classes=1, the data have 2: cyst, mass; set num_classes=2 in the head'
    )
