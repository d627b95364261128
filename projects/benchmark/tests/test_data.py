import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from study.data import read_data

from mmdet3d_medical.datasets.phantom import scan_uid
from mmdet3d_medical.utils.errors import UsageError

from .conftest import DATA


@pytest.fixture
def copy(data, tmp_path) -> Path:
    """The data set at another place, to spoil."""
    return shutil.copytree(data[1], tmp_path / 'copy')


def test_parts_are_disjoint_and_listed(data):
    definition, root = data
    parts = {part: definition.scan_ids(part) for part in ('training', 'validation', 'test')}
    assert [len(ids) for ids in parts.values()] == [4, 1, 5]
    assert set().union(*parts.values()) == {scan_uid(3, number) for number in range(10)}
    for draw in (0, 1):
        folder = root / 'splits' / f'draw{draw}'
        lists = {path.stem: path.read_text().split() for path in folder.glob('*.txt')}
        assert sorted(lists['train']) == parts['training']
        assert sorted(lists['test']) == parts['test']
        assert lists['validation'] == parts['validation']
        assert lists['labeled_1'] == lists['labeled_2'][:1]
        assert {*lists['labeled_2'], *lists['unlabeled_2']} == {*parts['training']}


def test_seeds_take_turns_in_the_draws(data):
    names = [data[0].split('labeled_1.txt', seed) for seed in range(3)]
    assert names == [f'splits/draw{draw}/labeled_1.txt' for draw in (0, 1, 0)]
    first, second = (Path(data[1], names[seed]).read_text() for seed in (0, 1))
    assert first != second


def test_truth_is_that_of_the_scored_scans(data):
    definition, root = data
    truth = definition.truth('test')
    scored = {*definition.scan_ids('test'), *definition.scan_ids('validation')}
    assert truth.scan_ids == definition.scan_ids('test')
    rows = [line.split(',')[0] for line in (root / 'raw/annotations.csv').read_text().split()]
    assert list(truth.nodules.scan_ids) == [uid for uid in rows if uid in scored] != []
    assert len(truth.excluded.scan_ids) > len(truth.nodules.scan_ids)


def test_what_is_made_again_is_the_same(data, copy):
    definition, _ = data
    definition.check(copy)
    uid = scan_uid(3, 7)
    path = copy / 'raw/subset7' / f'{uid}.raw'
    path.write_bytes(path.read_bytes()[:-1] + b'x')
    with pytest.raises(UsageError, match=f'differ from tiny: 1 scans, the first is {uid}'):
        definition.check(copy)
    path.unlink()
    with pytest.raises(UsageError, match=f'{uid}.*regenerate it with "python projects'):
        definition.check(copy)
    definition.make(copy, workers=1)
    definition.check(copy)


def test_findings_count_too(data, copy):
    path = next(copy.glob('raw/records/*.json'))
    path.write_text(path.read_text().replace('1', '2'))
    with pytest.raises(UsageError, match=f'1 scans, the first is {path.stem}'):
        data[0].check(copy)


def test_hashes_are_recorded_once(data, tmp_path):
    with pytest.raises(UsageError, match='records this data set already'):
        data[0].record(data[1])
    (tmp_path / 'data.yml').write_text(yaml.safe_dump(DATA))
    with pytest.raises(UsageError, match='no hashes are recorded yet'):
        read_data(tmp_path / 'data.yml').check(data[1])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(scan=3), r"\['scan'\] are not known"),
        (
            dict(subsets=dict(DATA['subsets'], test=[4])),
            'each of the subsets 0 to 9 is for one use',
        ),
        (
            dict(subsets=dict(DATA['subsets'], test=[10])),
            'each of the subsets 0 to 9 is for one use',
        ),
        (dict(subsets=dict(test=[1])), 'subsets: .* are missing'),
        (dict(draws=0), 'draws must be at least 1'),
        (dict(difficulty='harder'), "data.yml: difficulty 'harder' is unknown"),
    ],
)
def test_mistakes_are_named(changes, message, tmp_path):
    (tmp_path / 'data.yml').write_text(yaml.safe_dump({**DATA, **changes}))
    with pytest.raises(UsageError, match=message):
        read_data(tmp_path / 'data.yml')


def test_the_first_scans_alone(tmp_path, data):
    """20 of 100 scans, 8 of them for training: no more than 4 labeled, the rest unlabeled."""
    many = dict(DATA, scans=100, labeled=[1, 4, 5], unlabeled=[3, 20, 30])
    (tmp_path / 'data.yml').write_text(yaml.safe_dump(many))
    whole = read_data(tmp_path / 'data.yml')
    few = whole.with_scans(20)
    assert (few.name, whole.with_scans(100)) == ('tiny-20', whole)
    few.make(tmp_path / 'made', workers=1)
    folder = tmp_path / 'made/splits/draw0'
    lists = {path.stem: path.read_text().split() for path in folder.glob('*.txt')}
    assert sorted(name for name in lists if '_' in name) == [
        *('labeled_1', 'labeled_4'),
        *('unlabeled_20', 'unlabeled_3', 'unlabeled_30', 'unlabeled_4'),
    ]
    assert lists['unlabeled_20'] == lists['unlabeled_30'] == lists['unlabeled_4']
    assert {*lists['labeled_4'], *lists['unlabeled_20']} == {*few.scan_ids('training')}
    assert few.scan_ids('test') == sorted(scan_uid(3, n) for n in range(20) if n % 10 > 4)


def test_the_first_scans_are_those_that_are_recorded(data, copy):
    definition, _ = data
    few = replace(definition, scans=5)
    few.check(copy)
    (copy / 'raw/subset7' / f'{scan_uid(3, 7)}.raw').unlink()
    few.check(copy)
    (copy / 'raw/subset2' / f'{scan_uid(3, 2)}.raw').unlink()
    with pytest.raises(UsageError, match=scan_uid(3, 2)):
        few.check(copy)


@pytest.mark.parametrize('number', [0, 3, 11])
def test_numbers_of_scans_that_cannot_be(data, number):
    with pytest.raises(UsageError, match=f'{number} scans, but there are 10, and half'):
        replace(data[0], labeled=(2,)).with_scans(number)
