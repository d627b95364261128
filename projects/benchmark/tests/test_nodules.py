"""Windows of real CT: what lies in them, and which CT goes where."""

import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from study.data import read_data
from study.scores import score_marks

from mmdet3d_medical.datasets.index import read_index
from mmdet3d_medical.evaluation.functional import FP_RATES
from mmdet3d_medical.evaluation.marks import Marks
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.errors import UsageError

SIDE, WINDOW = 20, 14
DATA = dict(
    kind='nodules',
    name='tiny',
    seed=1,
    window=WINDOW,
    series=dict(training=4, validation=2, test=3),
    held_out=['1.9'],
    labeled=[1, 2],
    unlabeled=[2],
    draws=2,
)


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """Ten series with two cubes each, and tables: a nodule in the middle, a finding at a corner."""
    root = tmp_path_factory.mktemp('source')
    rows = {'annotations': [], 'annotations_excluded': []}
    (root / 'nodule_patches').mkdir()
    rng = np.random.default_rng(0)
    for series in (f'1.{number}' for number in range(10)):
        for number in range(2):
            origin = (100.0 * number, 0.0, 0.0)
            for kind in ('dcm', 'seg'):
                voxels = rng.normal(-850, 20, (SIDE,) * 3).astype(np.int16)
                image = sitk.GetImageFromArray(voxels if kind == 'dcm' else (voxels > -850) * 1)
                image = sitk.Cast(image, sitk.sitkInt16)
                image.SetOrigin(origin)
                path = root / 'nodule_patches' / f'{series}_{kind}_{number}.mha'
                sitk.WriteImage(image, str(path))
            rows['annotations'].append(f'{series},{origin[0] + 9.5},9.5,9.5,6\n')
            rows['annotations_excluded'].append(f'{series},{origin[0] + 1},1,1,-1\n')
    for name, lines in rows.items():
        text = 'seriesuid,coordX,coordY,coordZ,diameter_mm\n' + ''.join(lines)
        (root / f'{name}.csv').write_text(text)
    return root


@pytest.fixture
def made(source, tmp_path):
    (tmp_path / 'data.yml').write_text(yaml.safe_dump(DATA))
    data = read_data(tmp_path / 'data.yml')
    data.make(tmp_path / 'made', 1, source)
    return data, tmp_path / 'made'


def lists(root, draw=0):
    folder = root / 'splits' / f'draw{draw}'
    return {path.stem: path.read_text().split() for path in folder.glob('*.txt')}


def series_of(scan_ids):
    return {scan_id.split('_')[0] for scan_id in scan_ids}


def test_no_series_is_on_two_sides_and_the_held_out_one_on_none(made):
    found = lists(made[1])
    parts = [series_of(found[name]) for name in ('train', 'validation', 'test')]
    assert [len(part) for part in parts] == [4, 2, 3]
    assert len(set.union(*parts)) == 9 and '1.9' not in set.union(*parts)
    labeled, unlabeled = series_of(found['labeled_2']), series_of(found['unlabeled_2'])
    assert len(labeled) == len(unlabeled) == 2 and not labeled & unlabeled
    assert labeled | unlabeled <= parts[0] and series_of(found['labeled_1']) < labeled
    assert lists(made[1], 1)['test'] == found['test']  # draws differ in labels alone
    assert all(name.endswith('_window') for name in found['validation'] + found['test'])
    assert not any(name.endswith('_window') for name in found['train'])


def test_a_window_is_a_part_of_its_cube(made):
    scans = {scan['scan_id']: scan for scan in read_index(made[1] / 'index.json')['scans']}
    starts = []
    for name in lists(made[1])['test']:
        window, cube = scans[name], scans[name.removesuffix('_window')]
        voxels = np.load(made[1] / window['volume'])
        geometry = VolumeGeometry.from_dict(window['geometry'])
        origin = VolumeGeometry.from_dict(cube['geometry']).world_to_index(
            np.array([geometry.origin])
        )[0]
        start = np.rint(origin).astype(int)
        region = tuple(slice(a, a + WINDOW) for a in start)
        assert np.array_equal(voxels, np.load(made[1] / cube['volume'])[region])
        starts.append(tuple(start))
        (nodule,) = [found for found in window['instances'] if not found['ignore']]
        assert nodule['center'] == [geometry.origin[0] + 9.5 - start[2], 9.5, 9.5]
        # 10 mm about voxel 1 reach to 6.5: into the window where it starts before on all axes.
        assert len(window['instances']) == 1 + (start < 6.5).all()
    assert len(set(starts)) > 1  # the nodule is not always in its middle


def test_false_positives_count_by_five_liters(made):
    """6 windows of 14^3 mm are .003 times 5 liters: at 8 per 5 liters none is allowed."""
    truth = made[0].truth('test', made[1])
    assert len(truth.scan_ids) == 6 and len(truth.nodules.scan_ids) == 6
    assert truth.share == pytest.approx(14**3 / 5e6)
    hits = [(s, tuple(c)) for s, c in zip(truth.nodules.scan_ids, truth.nodules.centers)]  # noqa: B905
    first, rest = hits[:4], hits[4:]
    rows = [(*hit, 0.9, 6.0, '') for hit in first]
    rows += [(truth.scan_ids[0], (1000.0, 0, 0), 0.8, 6.0, '')]  # far outside
    rows += [(*hit, 0.7, 6.0, '') for hit in rest]
    score = score_marks(Marks.from_rows(rows), truth, bootstraps=10)
    # The first false positive comes at a rate of 1 / (6 windows * share) = 61 per 5 liters; at 8
    # the curve is on the straight line from 4 of 6 at 0 to 4 of 6 there.
    assert score.sensitivity == pytest.approx([4 / 6] * 7)


def test_marks_are_scored_at_the_rates_of_the_file(made, tmp_path):
    path = tmp_path / 'rates.yml'
    path.write_text(yaml.safe_dump(dict(DATA, rates=[1, 8])))
    assert read_data(path).truth('test', made[1]).rates == (1.0, 8.0)
    assert made[0].truth('test', made[1]).rates == FP_RATES


def test_what_changed_is_noticed(made, source, tmp_path):
    data, root = made
    with pytest.raises(UsageError, match='no hash is recorded'):
        data.check(root)
    data.record(root)
    data.check(root)
    data.make(root, 1)  # it is there
    volume = next((root / 'volumes').glob('*_window.npy'))
    voxels = np.load(volume)
    voxels[0, 0, 0] += 1
    np.save(volume, voxels)
    with pytest.raises(UsageError, match='differ from tiny'):
        data.check(root)
    with pytest.raises(UsageError, match='--source'):
        data.make(tmp_path / 'elsewhere', 1)


def test_the_same_again_is_the_same(made, source, tmp_path):
    data, root = made
    data.make(tmp_path / 'again', 1, source)
    data.record(root)
    data.check(tmp_path / 'again')


def test_a_list_that_the_definition_wants_by_now_is_written(made):
    """Data that were made before it are kept, and the other lists stay as they were."""
    data, root = made
    before = [lists(root, draw) for draw in range(2)]
    (root / 'splits' / 'draw1' / 'labeled_1.txt').unlink()
    volumes = {path: path.stat().st_mtime_ns for path in (root / 'volumes').iterdir()}
    data.make(root, 1)
    assert [lists(root, draw) for draw in range(2)] == before
    assert volumes == {path: path.stat().st_mtime_ns for path in (root / 'volumes').iterdir()}


def test_more_series_than_there_are(tmp_path, source):
    content = dict(DATA, series=dict(training=6, validation=2, test=3))
    (tmp_path / 'data.yml').write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match='wants 11 series, there are 9'):
        read_data(tmp_path / 'data.yml').make(tmp_path / 'made', 1, source)
    (tmp_path / 'data.yml').write_text(yaml.safe_dump(dict(DATA, unlabeled=[3])))
    with pytest.raises(UsageError, match='5 labeled and unlabeled series are wanted of 4'):
        read_data(tmp_path / 'data.yml')
