import json
from pathlib import Path

import numpy as np

from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.datasets.index import read_index

TOOL = 'cross_validate'


def test_two_folds_on_their_own_and_pooled(config, data_root, run_tool, tmp_path, capfd):
    # Two of the ten scans, on whose other one each detector is trained for two iterations.
    root = tmp_path / 'two'
    (root / 'volumes').mkdir(parents=True)
    index = read_index(data_root / 'index.json')
    index['scans'] = index['scans'][:2]
    write_index(root / 'index.json', index)
    for scan in index['scans']:
        np.save(root / scan['volume'], np.load(data_root / scan['volume']))
    args = (
        config,
        '--shrink',
        '--work-dir',
        tmp_path / 'cv',
        '--bootstrap',
        10,
        '--cfg-options',
        *(f'{part}_dataloader.dataset.data_root={root}' for part in ('train', 'test')),
        'train_cfg.max_iters=2',
        'model.test_cfg.score_thr=0',
    )

    assert run_tool(TOOL, *args, '--folds') == 2  # no number
    assert run_tool(TOOL, args[0], '--folds', 0, *args[1:]) == 0
    assert 'Not scored yet: the folds [1] are not finished' in capfd.readouterr().out
    assert run_tool(TOOL, *args) == 0
    printed = capfd.readouterr().out
    assert 'fold 1: trains' in printed and 'fold 0' not in printed and 'CPM' in printed
    scores = json.loads((tmp_path / 'cv' / 'scores.json').read_text())
    assert (scores['scans'], scores['nodules']) == (2, 2)
    lines = Path(tmp_path / 'cv' / 'marks.csv').read_text().splitlines()
    assert {line.split(',')[0] for line in lines[1:]} == {'scan0', 'scan1'}
    assert (tmp_path / 'cv' / 'froc.png').is_file() and (tmp_path / 'cv' / 'errors.csv').is_file()
    for fold in (0, 1):
        log = (tmp_path / 'cv' / f'fold{fold}' / 'train.log').read_text()
        assert f'train_dataloader.dataset.subsets=[{1 - fold}]' in log and 'Iter(train)' in log


def test_folds_that_do_not_exist(config, run_tool, capfd):
    assert run_tool(TOOL, config, '--folds', 3, 12) == 2
    assert '--folds [12]: the data has the subsets [0, 1, 2,' in capfd.readouterr().err
