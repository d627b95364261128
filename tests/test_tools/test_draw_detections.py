import sys
from pathlib import Path
from runpy import run_path

import matplotlib.image
import numpy as np
import pytest

from mmdet3d_medical.cli import draw_detections
from mmdet3d_medical.datasets import read_index
from mmdet3d_medical.evaluation.marks import Marks
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.visualization import points_to_show

PATH = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'draw_detections.py'


def mark(scan, zyx, score, geometry, diameter=8.0):
    center = geometry.index_to_world(np.array([zyx], float))[0]
    return scan, tuple(center), score, diameter, ''


@pytest.fixture
def scan(data_root):
    return read_index(data_root / 'index.json')['scans'][0]


@pytest.fixture
def geometry(scan):
    return VolumeGeometry.from_dict(scan['geometry'])


def test_boxes_are_in_voxels_of_the_scan(scan, geometry):
    # The cube of voxels [10:14, 8:12, 16:20] is 8 mm wide at 2 mm voxels.
    assert np.allclose(draw_detections.lesion_boxes(scan, geometry), [[10, 8, 16, 14, 12, 20]])
    marks = Marks.from_rows(
        [
            mark('scan0', (3, 3, 3), 0.3, geometry, 4.0),
            mark('scan0', (11.5, 9.5, 17.5), 0.9, geometry),
            mark('scan0', (5, 5, 5), 0.1, geometry),
            mark('scan1', (6, 6, 6), 0.8, geometry),
        ]
    )
    boxes, scores = draw_detections.mark_boxes(marks, 'scan0', 0.2, geometry)
    assert np.allclose(boxes, [[10, 8, 16, 14, 12, 20], [2.5, 2.5, 2.5, 4.5, 4.5, 4.5]], atol=1e-4)
    assert scores.tolist() == [0.9, 0.3]


def test_boxes_are_as_wide_as_the_marks_say(scan, geometry):
    row = mark('scan0', (11.5, 9.5, 17.5), 0.9, geometry)
    marks = Marks.from_rows([(*row, (4.0, 8.0, 12.0))])
    boxes, _ = draw_detections.mark_boxes(marks, 'scan0', 0.2, geometry)
    assert np.allclose(boxes, [[9, 8, 17, 15, 12, 19]])  # 2 mm voxels


def test_without_any_mark_the_scan_with_most_lesions_is_drawn(data_root):
    scans = read_index(data_root / 'index.json')['scans'][::-1]  # the first has no lesion
    assert draw_detections.choose_scan(scans, Marks.from_rows([]), None)['scan_id'] == 'scan8'


def test_shows_lesions_then_detections_that_hit_none():
    lesions = np.array([[10, 8, 16, 14, 12, 20.0]])
    hit, missed = [11, 9, 17, 13, 11, 19.0], [0, 0, 0, 4, 4, 4.0]
    points = points_to_show(lesions, np.array([hit, missed]), 6, (24, 28, 32))
    assert points.tolist() == [[12, 10, 18], [2, 2, 2]]
    assert len(points_to_show(lesions, np.array([hit, missed]), 1, (24, 28, 32))) == 1
    none = np.zeros((0, 6))
    assert points_to_show(none, none, 6, (24, 28, 32)).tolist() == [[12, 14, 16]]


@pytest.mark.parametrize('options', [(), ('--scan', 'scan9')], ids=['with lesion', 'without'])
def test_draws_a_picture(options, data_root, geometry, tmp_path, monkeypatch, capsys):
    marks, out = tmp_path / 'marks.csv', tmp_path / 'pictures' / 'out.png'
    x, y, z = geometry.index_to_world(np.array([[11.5, 9.5, 17.5]]))[0]
    marks.write_text(
        f'seriesuid,coordX,coordY,coordZ,probability,diameter_mm\nscan3,{x},{y},{z},0.9,12.0\n'
    )
    monkeypatch.setattr(
        sys, 'argv', [str(PATH), str(marks), str(data_root / 'index.json'), str(out), *options]
    )
    run_path(str(PATH), run_name='__main__')
    red, green = (
        matplotlib.image.imread(out)[..., :3] @ direction > 1.5
        for direction in (np.array([2, -1, -1]), np.array([-1, 2, -1]))
    )
    assert (red.any(), green.any()) == ((False, False) if options else (True, True))
    assert ('scan9' if options else 'scan3') in capsys.readouterr().out


@pytest.mark.parametrize('arguments', [('out.png', '--rows', '0'), ('out.foo',)])
def test_wrong_options_are_refused(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [str(PATH), 'marks.csv', 'index.json', *arguments])
    with pytest.raises(SystemExit, match='2'):
        run_path(str(PATH), run_name='__main__')
    assert 'expected' in capsys.readouterr().err


def test_an_index_of_other_scans_is_refused(data_root, geometry, tmp_path, monkeypatch, capsys):
    marks = tmp_path / 'marks.csv'
    marks.write_text('seriesuid,coordX,coordY,coordZ,probability\nother,0,0,0,0.9\n')
    monkeypatch.setattr(
        sys,
        'argv',
        [str(PATH), str(marks), str(data_root / 'index.json'), str(tmp_path / 'out.png')],
    )
    with pytest.raises(SystemExit) as exit:
        run_path(str(PATH), run_name='__main__')
    assert exit.value.code == 2
    assert 'None of the scans other is in the index' in capsys.readouterr().err


def test_ids_that_a_spreadsheet_changed_are_refused(data_root, tmp_path, monkeypatch, capsys):
    marks = tmp_path / 'marks.csv'
    marks.write_text('seriesuid,coordX,coordY,coordZ,probability\n7,0,0,0,0.9\n')
    content = (data_root / 'index.json').read_text().replace('"scan0"', '"007"')
    (tmp_path / 'index.json').write_text(content)
    monkeypatch.setattr(
        sys,
        'argv',
        [str(PATH), str(marks), str(tmp_path / 'index.json'), str(tmp_path / 'out.png')],
    )
    with pytest.raises(SystemExit, match='2'):
        run_path(str(PATH), run_name='__main__')
    assert 'write the same number as 7 and 007' in capsys.readouterr().err
