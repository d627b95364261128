"""The command line of the splits: defaults by data set, what is said of empty lists."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.structures import VolumeGeometry

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/make_splits.py'
GEOMETRY = VolumeGeometry((0, 0, 0), (1, 1, 1), (1, 0, 0, 0, 1, 0, 0, 0, 1), (4, 4, 4)).to_dict()


def make_index(path, subsets, annotated=True, patients=None):
    scans = [
        dict(
            scan_id=f'scan{number:03d}',
            subset=subset,
            volume='a.npy',
            geometry=GEOMETRY,
            annotated=annotated,
            instances=[],
        )
        for number, subset in enumerate(subsets)
    ]
    for scan, patient in zip(scans, patients or [], strict=False):
        scan['patient'] = patient
    write_index(path, dict(classes=['nodule'], spacing=None, settings={}, scans=scans))


@pytest.fixture
def make_splits(tmp_path, monkeypatch, capsys):
    """Index scans of these subsets and split them: lists by name and what was printed."""

    def run(subsets, *arguments, **kwargs):
        make_index(tmp_path / 'index.json', subsets, **kwargs)
        monkeypatch.setattr(sys, 'argv', [str(TOOL), str(tmp_path / 'index.json'), *arguments])
        code = 0
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as stopped:
            code = stopped.code
        lists = {
            path.stem: path.read_text().split() for path in (tmp_path / 'splits').glob('*.txt')
        }
        return code, lists, capsys.readouterr()

    return run


def test_small_data_sets_are_split_without_options(make_splits):
    code, lists, printed = make_splits([None] * 20)
    assert code == 0 and len(lists['train']) == 12 and len(lists['test']) == 8
    assert sorted(lists) == sorted(['train', 'test', *(f'subset{k}' for k in range(10))])
    assert printed.out.count('--labeled and --unlabeled make them') == 1


def test_lists_that_are_asked_for(make_splits):
    _, lists, printed = make_splits([None] * 20, '--labeled', '2', '4')
    assert [len(lists[f'labeled_{size}']) for size in (2, 4)] == [2, 4]
    assert not [name for name in lists if name.startswith('un')]
    assert '--labeled' not in printed.out


def test_luna16_has_lists_of_its_own(make_splits):
    subsets = [k for k in range(10) for _ in range(88 if k in (8, 9) else 89)]
    _, lists, _ = make_splits(subsets)
    assert len(lists['train']) == 533 and len(lists['test']) == 355
    assert {name for name in lists if name.startswith(('labeled', 'unlabeled'))} == {
        'labeled_25',
        'labeled_50',
        'labeled_100',
        'unlabeled_100',
        'unlabeled_200',
        'unlabeled_300',
        'unlabeled_400',
    }
    _, lists, _ = make_splits(subsets, '--test-subsets', '8', '9')
    assert len(lists['train']) == 712 and len(lists['unlabeled_400']) == 400


def test_empty_lists_are_pointed_out(make_splits):
    code, lists, printed = make_splits([None])
    assert code == 0 and lists['train'] == ['scan000'] and lists['test'] == []
    assert 'test.txt: 0 scans, no scan is left to test on' in printed.out
    _, lists, printed = make_splits([0, 1], annotated=False)
    assert lists['train'] == [] and len(lists['test']) == 1
    assert 'train.txt: 0 scans, no annotated scan is left to train on' in printed.out


def test_too_few_scans_for_the_lists(make_splits):
    code, lists, printed = make_splits([None] * 4, '--labeled', '100', '--unlabeled', '400')
    assert code == 2 and not lists
    assert '100 labeled and 400 unlabeled scans were asked for' in printed.err


@pytest.mark.tried(
    'data set',
    'a split without knowing the patients',
    'said in a line, with how to make them known',
)
@pytest.mark.tried('data set', 'subsets that divide a patient', 'said in a line, naming a scan')
@pytest.mark.parametrize(
    'subsets, patients, said',
    [
        (
            [None] * 4,
            None,
            'the index knows no patients: scans of one patient may lie on both sides',
        ),
        ([None] * 4, ['a', None, 'b', 'b'], 'the index knows no patient of 1 scans'),
        ([0, 1, 1, 1], ['a', 'a', 'b', 'b'], "1 patients have .* the first is scan scan000's"),
        ([None] * 4, ['a'] * 4, 'all scans are of one patient'),
        ([0, 0, 1, 1], ['a', 'a', 'b', 'b'], None),
    ],
)
def test_what_is_said_of_patients(make_splits, subsets, patients, said):
    code, _, printed = make_splits(subsets, patients=patients)
    assert code == 0
    notes = [line for line in printed.out.splitlines() if '.txt: ' not in line]
    assert len(notes) == 1 + bool(said)  # and that lists can be asked for
    assert said is None or re.match(said, notes[0])


def index_of(tmp_path):
    return json.loads((tmp_path / 'index.json').read_text())


def test_folds_are_written_into_the_index(make_splits, tmp_path):
    (tmp_path / 'splits').mkdir()
    (tmp_path / 'splits/subset7.txt').write_text('of before\n')
    code, lists, printed = make_splits([None] * 10, '--folds', '5', '--seed', '3')
    assert code == 0 and 'scans have the subsets 0 to 4 now' in printed.out
    subsets = {scan['scan_id']: scan['subset'] for scan in index_of(tmp_path)['scans']}
    assert sorted(subsets.values()) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert sorted(lists) == sorted(['train', 'test', *(f'subset{k}' for k in range(5))])
    for fold in range(5):
        assert lists[f'subset{fold}'] == [s for s, k in sorted(subsets.items()) if k == fold]
    assert {subsets[scan] for scan in lists['train']} == {0, 1, 2}


@pytest.mark.parametrize(
    ('subsets', 'arguments', 'error'),
    [
        ([4, 5, 6], ['--folds', '3'], 'the subsets [4, 5, 6] already'),
        ([None] * 3, ['--folds', '3', '--labeled', '9'], '9 labeled and 0 unlabeled'),
    ],
)
def test_an_error_leaves_the_index_as_it_is(make_splits, tmp_path, subsets, arguments, error):
    code, lists, printed = make_splits(subsets, *arguments)
    assert code == 2 and not lists and error in printed.err
    assert [scan['subset'] for scan in index_of(tmp_path)['scans']] == subsets


def test_subsets_are_replaced_when_asked(make_splits, tmp_path):
    code, _, _ = make_splits([4, 5, 6], '--folds', '3', '--overwrite-subsets')
    assert code == 0
    assert sorted(scan['subset'] for scan in index_of(tmp_path)['scans']) == [0, 1, 2]
