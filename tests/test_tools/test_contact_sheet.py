"""The contact sheet of a data set in LUNA16's layout."""

import sys

import numpy as np
import pytest
from PIL import Image

from mmdet3d_medical.cli import main
from mmdet3d_medical.datasets.phantom import PhantomWriter, phantom_settings


def run_tool(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['contact_sheet.py', *map(str, arguments)])
    main('contact-sheet')


@pytest.mark.parametrize('healthy', [0.0, 1.0])
def test_sheet_circles_the_nodules_in_red(healthy, tmp_path, monkeypatch):
    settings = phantom_settings(shape=(48, 64, 64), healthy_fraction=healthy, lookalikes=2.0)
    PhantomWriter(tmp_path / 'data', settings, seed=0).write(2)
    run_tool(monkeypatch, tmp_path / 'data', tmp_path / 'sheet.png', '--scans', '2')
    sheet = np.asarray(Image.open(tmp_path / 'sheet.png').convert('RGB')).astype(int)
    red = (sheet[..., 0] - sheet[..., 1] > 100).sum()
    assert (red == 0) == (healthy == 1.0)
    assert sheet[..., 1].std() > 20, 'slices are drawn'


def test_folder_without_tables_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match='2'):
        run_tool(monkeypatch, tmp_path, tmp_path / 'sheet.png')
    assert 'no annotations.csv: expected LUNA16 layout' in capsys.readouterr().err
    assert not (tmp_path / 'sheet.png').exists()
