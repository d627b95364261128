"""``predict`` and ``models`` as their user runs them."""

import csv
import json
import re

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.apis import LesionInferencer
from mmdet3d_medical.cli import predict
from mmdet3d_medical.cli.main import parse
from mmdet3d_medical.inference import runs
from mmdet3d_medical.inference.formats import dicom, nifti, slicer
from mmdet3d_medical.packing import read_model


def write_scan(path, seed=0):
    voxels = np.random.default_rng(seed).normal(-850, 15, (30, 40, 44))
    distance = (np.indices(voxels.shape).T - np.array([15, 20, 20])) * 1.5
    voxels[np.sqrt((distance**2).sum(-1)).T < 5] = 30
    image = sitk.GetImageFromArray(voxels.astype(np.int16))
    image.SetSpacing((1.5, 1.5, 1.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def run(out, *arguments):
    return predict.main(parse('predict', ['phantom', *map(str, arguments), '-o', str(out)]))


def table(out):
    with (out / 'findings.csv').open(newline='') as file:
        return list(csv.DictReader(file))


@pytest.mark.tried(
    'predict',
    'a scan that cannot be read among others',
    'named in failed.csv, exit status 2; the others are done',
)
def test_two_scans_and_a_broken_one(tmp_path, capsys):
    write_scan(tmp_path / 'in/a.nii.gz')
    write_scan(tmp_path / 'in/b.mha', 1)
    (tmp_path / 'in/c.nrrd').write_text('NRRD0004\nbroken')
    status = run(tmp_path / 'out', tmp_path / 'in', '--score-thr', 0.3, '--format', 'csv', 'slicer')
    told = capsys.readouterr()
    assert status == 2
    assert 'a: 1 lesion, ' in told.out and 'b: 1 lesion, ' in told.out
    failed = list(csv.DictReader((tmp_path / 'out/failed.csv').open()))
    assert [row['scan'] for row in failed] == ['c'] and 'c.nrrd' in failed[0]['reason']
    assert [row['seriesuid'] for row in table(tmp_path / 'out')] == ['a', 'b']
    assert {path.name for path in (tmp_path / 'out/a').iterdir()} == {
        *('findings.json', 'findings.mrk.json', 'run.json')
    }
    (tmp_path / 'in/c.nrrd').unlink()
    assert run(tmp_path / 'out', tmp_path / 'in', '--score-thr', 0.3, '--format', 'csv') == 0
    assert not (tmp_path / 'out/failed.csv').exists()


@pytest.mark.tried(
    'predict',
    'a second run',
    'does what is missing, or whose file, model, threshold or formats changed',
)
def test_second_run_does_what_is_missing_or_changed(tmp_path, capsys, monkeypatch):
    for name in 'ab':
        write_scan(tmp_path / f'in/{name}.mha')
    arguments = tmp_path / 'out', tmp_path / 'in', '--format', 'csv', '--score-thr', 0.3
    run(*arguments)
    before = (tmp_path / 'out/findings.csv').read_bytes()
    done = []
    detect = runs.predict_scan
    monkeypatch.setattr(
        runs, 'predict_scan', lambda job, scan, **_: done.append(scan.scan_id) or detect(job, scan)
    )
    capsys.readouterr()
    run(*arguments)
    assert done == [] and capsys.readouterr().out.count('done before') == 2
    assert (tmp_path / 'out/findings.csv').read_bytes() == before
    write_scan(tmp_path / 'in/b.mha', seed=9)
    run(*arguments)
    assert done == ['b']
    run(*arguments[:-1], 0.4)
    assert done == ['b', 'a', 'b']
    (tmp_path / 'out/a/findings.json').unlink()
    run(*arguments[:-1], 0.4)
    assert done == ['b', 'a', 'b', 'a']
    arguments = (*arguments[:3], 'csv', 'slicer', '--score-thr', 0.4)
    run(*arguments)
    (tmp_path / 'out/b/findings.mrk.json').unlink()
    done.clear()
    run(*arguments)
    assert done == ['b'] and (tmp_path / 'out/b/findings.mrk.json').is_file()


def test_default_formats_and_threshold(tmp_path):
    write_scan(tmp_path / 'a.mha')
    assert run(tmp_path / 'out', tmp_path / 'a.mha') == 0
    names = {path.name for path in (tmp_path / 'out/a').iterdir()}
    assert names == {'findings.json', 'findings.mrk.json', 'report.html', 'run.json'}
    content = json.loads((tmp_path / 'out/a/findings.json').read_text())
    assert content['threshold'] == read_model('phantom').facts.threshold


def test_a_terminal_shows_how_much_is_searched(tmp_path, capsys, monkeypatch):
    image = sitk.GetImageFromArray(np.full((64, 96, 300), -850, np.int16))
    image.SetSpacing((2, 2, 2))
    sitk.WriteImage(image, str(tmp_path / 'a.mha'))
    run(tmp_path / 'silent', tmp_path / 'a.mha', '--format', 'csv')
    assert 'tiles' not in capsys.readouterr().err
    monkeypatch.setattr(predict, '_on_terminal', lambda: True)
    run(tmp_path / 'out', tmp_path / 'a.mha', '--format', 'csv')
    told = capsys.readouterr()
    shown = [tuple(map(int, pair)) for pair in re.findall(r'(\d+) of (\d+) tiles', told.err)]
    total = shown[0][1]
    assert total > 2 and [done for done, _ in shown] == [*range(2, total, 2), total]
    assert {count for _, count in shown} == {total}
    assert told.err.endswith(predict.CLEAR) and 'a: ' in told.out


def never(*args):
    raise AssertionError('work was done that cannot be written')


def test_format_that_a_scan_cannot_have_is_told_before_it_is_searched(
    tmp_path, capsys, monkeypatch
):
    write_scan(tmp_path / 'a.mha')
    monkeypatch.setattr(LesionInferencer, 'detect', never)
    assert run(tmp_path / 'out', tmp_path / 'a.mha', '--format', 'csv', 'dicom') == 2
    assert 'the format dicom needs a scan from a DICOM series' in capsys.readouterr().err


def test_package_or_folder_that_is_missing_is_told_before_any_scan(tmp_path, monkeypatch):
    write_scan(tmp_path / 'a.mha')
    monkeypatch.setattr(predict, 'find_scans', never)
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file'):
        run(tmp_path / 'file', tmp_path / 'a.mha')
    monkeypatch.setattr(dicom, 'find_spec', lambda name: None)
    with pytest.raises(
        ValueError, match=r"needs highdicom: pip install 'mmdet3d_medical\[dicom\]'"
    ):
        run(tmp_path / 'out', tmp_path / 'a.mha', '--format', 'dicom')


@pytest.mark.tried('predict', 'no finding at the threshold', 'a result: a table with its header')
def test_scan_without_findings_is_a_result(tmp_path, capsys):
    write_scan(tmp_path / 'a.mha')
    assert run(tmp_path / 'out', tmp_path / 'a.mha', '--score-thr', 1) == 0
    assert 'a: 0 lesions' in capsys.readouterr().out and table(tmp_path / 'out') == []


def test_several_workers_give_the_same(tmp_path):
    for seed, name in enumerate('abc'):
        write_scan(tmp_path / f'in/{name}.mha', seed)
    options = ('--format', 'csv', '--score-thr', 0.2)
    run(tmp_path / 'one', tmp_path / 'in', *options)
    run(tmp_path / 'two', tmp_path / 'in', *options, '--workers', 2)
    one, two = table(tmp_path / 'one'), table(tmp_path / 'two')
    assert len(one) >= 3 and [row['seriesuid'] for row in one] == [row['seriesuid'] for row in two]
    for first, second in zip(one, two, strict=True):
        for name in ('coordX', 'coordY', 'coordZ', 'probability'):
            assert float(first[name]) == pytest.approx(float(second[name]), abs=1e-3)


@pytest.mark.tried('predict', 'a folder called like a patient', 'its name is in no file')
def test_folders_of_scans_are_called_by_ids_and_not_by_where_they_were(tmp_path):
    write_scan(tmp_path / 'QUIXOTE^ALONSO/a.mha')
    run(tmp_path / 'out', tmp_path / 'QUIXOTE^ALONSO', '--format', 'csv')
    written = [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]
    assert written and not any(b'QUIXOTE' in path.read_bytes() for path in written)
    assert not any('QUIXOTE' in path.name for path in written)


def failed(out):
    path = out / 'failed.csv'
    return [row['scan'] for row in csv.DictReader(path.open())] if path.exists() else []


@pytest.mark.tried(
    'predict',
    'scans one after the other into one folder',
    'findings.csv has all that are finished, and says which have another threshold',
)
def test_table_has_the_scans_of_earlier_runs(tmp_path, capsys):
    for seed, name in enumerate('abc'):
        write_scan(tmp_path / f'in/{name}.mha', seed)
    together, one_by_one = tmp_path / 'together', tmp_path / 'out'
    run(together, tmp_path / 'in', '--format', 'csv', '--score-thr', 0.3)
    for name in 'bac':
        run(one_by_one, tmp_path / f'in/{name}.mha', '--format', 'csv', '--score-thr', 0.3)
    assert (one_by_one / 'findings.csv').read_bytes() == (together / 'findings.csv').read_bytes()
    assert 'also has the scans of earlier runs: 2\n' in capsys.readouterr().out
    # Another threshold without csv: the table that is there must not keep what is replaced.
    run(one_by_one, tmp_path / 'in/a.mha', '--format', 'json', '--score-thr', 1)
    assert {row['seriesuid'] for row in table(one_by_one)} == {'b', 'c'}
    assert '2, 2 of them with another model or threshold' in capsys.readouterr().out
    (one_by_one / 'b/findings.json').write_text('{}')
    run(one_by_one, tmp_path / 'in/c.mha', '--format', 'csv', '--score-thr', 0.3)
    assert {row['seriesuid'] for row in table(one_by_one)} == {'c'}
    assert 'b/findings.json: no findings of this package' in capsys.readouterr().err


@pytest.mark.tried(
    'predict',
    'a scan that failed in an earlier run',
    'stays in failed.csv until it is done, or its path is given again',
)
def test_failures_stay_until_the_scan_is_done_or_looked_for_again(tmp_path):
    out, options = tmp_path / 'out', ('--format', 'csv', '--score-thr', 0.3)
    write_scan(tmp_path / 'a.mha')
    write_scan(tmp_path / 'in/c.mha')
    run(out, tmp_path / 'in', *options)
    assert {row['seriesuid'] for row in table(out)} == {'c'}
    for broken in ('in/c.mha', 'in/d.mha', 'e.zip'):
        (tmp_path / broken).write_text('broken')
    assert run(out, tmp_path / 'in', tmp_path / 'e.zip', *options) == 2
    assert failed(out) == ['c', 'd', 'e'] and table(out) == []
    assert run(out, tmp_path / 'a.mha', *options) == 0
    assert failed(out) == ['c', 'd', 'e']
    assert {row['seriesuid'] for row in table(out)} == {'a'}  # what c was is no more
    write_scan(tmp_path / 'in/c.mha')
    assert run(out, tmp_path / 'in/c.mha', *options) == 0
    assert failed(out) == ['d', 'e'] and {row['seriesuid'] for row in table(out)} == {'a', 'c'}
    (tmp_path / 'in/d.mha').unlink()
    assert run(out, tmp_path / 'in', *options) == 0
    assert failed(out) == ['e']


@pytest.mark.tried(
    'predict',
    'a second run with another threshold',
    'what the first one wrote is removed; other files stay',
)
def test_no_file_of_a_run_with_other_settings_stays(tmp_path):
    out, scan = tmp_path / 'out', tmp_path / 'a.mha'
    write_scan(scan)
    (tmp_path / 'b.txt').write_text('of another folder')
    run(out, scan, '--format', 'html', 'slicer', 'nifti', '--score-thr', 0.3)
    (out / 'a/mine.txt').write_text('x')
    record = json.loads((out / 'a/run.json').read_text())
    record['written'] |= dict.fromkeys(('../../b.txt', '..', str(tmp_path / 'b.txt')), 'x')
    (out / 'a/run.json').write_text(json.dumps(record))
    run(out, scan, '--format', 'slicer', '--score-thr', 1)
    left = {'findings.json', 'findings.mrk.json', 'run.json', 'mine.txt'}
    assert {path.name for path in (out / 'a').iterdir()} == left
    assert (tmp_path / 'b.txt').is_file()
    assert json.loads((out / 'a/findings.mrk.json').read_text())['markups'] == []


@pytest.mark.tried(
    'predict',
    'boxes that were corrected where they lie, then a run with other settings',
    'that scan fails, naming the file, which stays',
)
def test_a_file_that_a_user_changed_is_not_lost(tmp_path):
    out, scan = tmp_path / 'out', tmp_path / 'a.mha'
    write_scan(scan)
    run(out, scan, '--score-thr', 0.3)
    boxes = out / 'a/findings.mrk.json'
    corrected = boxes.read_text().replace('markups', 'markups ')
    boxes.write_text(corrected)
    assert run(out, scan, '--score-thr', 0.3) == 0  # nothing to do
    assert run(out, scan, '--score-thr', 1) == 2
    assert boxes.read_text() == corrected and failed(out) == ['a']
    assert 'findings.mrk.json was changed since' in (out / 'failed.csv').read_text()
    boxes.rename(tmp_path / 'mine.mrk.json')
    assert run(out, scan, '--score-thr', 1) == 0


def test_a_run_that_is_stopped_leaves_nothing_of_one_with_other_settings(tmp_path, monkeypatch):
    out, scan = tmp_path / 'out', tmp_path / 'a.mha'
    write_scan(scan)
    run(out, scan, '--score-thr', 0.3)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(slicer, 'write', stop)
    with pytest.raises(KeyboardInterrupt):
        run(out, scan, '--score-thr', 0.4)
    names = {path.name for path in (out / 'a').iterdir()}
    assert names == {'findings.json', 'report.html'}  # new ones, in the order of formats
    assert json.loads((out / 'a/findings.json').read_text())['threshold'] == 0.4
    assert table(out) == []  # it is not finished


def test_findings_that_a_format_cannot_show_are_told(tmp_path, capsys, monkeypatch):
    write_scan(tmp_path / 'a.mha')
    monkeypatch.setattr(nifti, 'notes', lambda findings: ['no voxel of one'])
    for _ in range(2):
        run(tmp_path / 'out', tmp_path / 'a.mha', '--format', 'nifti')
        assert 'note: no voxel of one' in capsys.readouterr().out
    run(tmp_path / 'other', tmp_path / 'a.mha', '--format', 'slicer')
    assert 'no voxel' not in capsys.readouterr().out
    run(tmp_path / 'out', tmp_path / 'a.mha', '--format', 'slicer')
    assert 'no voxel' in capsys.readouterr().out  # the label map is still there


@pytest.mark.tried('predict', 'a second run for other formats alone', 'files of the first one stay')
def test_formats_add_up(tmp_path, capsys):
    out, scan = tmp_path / 'out', tmp_path / 'a.mha'
    write_scan(scan)
    run(out, scan, '--format', 'html', 'slicer', '--score-thr', 0.3)
    boxes = out / 'a/findings.mrk.json'
    boxes.write_text(boxes.read_text() + '\n')  # corrected
    first = {path.name: path.read_bytes() for path in (out / 'a').iterdir()}
    capsys.readouterr()
    run(out, scan, '--format', 'csv', 'html', '--score-thr', 0.3)
    assert 'done before' in capsys.readouterr().out and len(table(out)) > 0
    assert {path.name: path.read_bytes() for path in (out / 'a').iterdir()} == first
    assert run(out, scan, '--format', 'nifti', '--score-thr', 0.3) == 0
    later = {path.name: path.read_bytes() for path in (out / 'a').iterdir()}
    assert later.keys() == first.keys() | {'findings.nii.gz'}
    assert later['findings.mrk.json'] == first['findings.mrk.json']
    run(out, scan, '--score-thr', 0.3)
    assert 'done before' in capsys.readouterr().out
    (out / 'a/report.html').unlink()
    assert run(out, scan, '--format', 'html', '--score-thr', 0.3) == 2  # would lose the boxes
    boxes.unlink()
    run(out, scan, '--format', 'html', '--score-thr', 0.3)
    assert (out / 'a/report.html').is_file()


@pytest.mark.parametrize(
    ('out', 'found'),
    [
        ('/proc/x', 'No such file or directory'),
        ('{folder}/b.mha', 'a file'),
        ('{folder}/b.mha/out', 'Not a directory'),
    ],
)
def test_place_that_can_hold_no_results_is_told(tmp_path, out, found):
    write_scan(tmp_path / 'b.mha')
    out = out.format(folder=tmp_path)
    with pytest.raises(OSError) as error:
        run(out, tmp_path / 'b.mha')
    assert str(error.value) == (
        f'{out}: expected a folder for results that can be made and written, found: {found}. '
        'Give another folder to -o'
    )


def test_linked_folder_beside_a_scan_is_told(tmp_path, capsys):
    write_scan(tmp_path / 'in/a.nii.gz')
    write_scan(tmp_path / 'real/b.nii.gz')
    (tmp_path / 'in/p').symlink_to('../real')
    assert run(tmp_path / 'out', tmp_path / 'in', '--format', 'csv') == 0
    told = capsys.readouterr()
    assert '1 linked folders were not followed: give what they link to by name' in told.err
    assert f'the first is {tmp_path}/in/p\n' in told.err
    assert '1 scans done' in told.out
