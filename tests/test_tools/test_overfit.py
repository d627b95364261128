"""From a data set to a score: a scan that was learned by heart has its lesion found first."""

import json


def test_one_scan_learnt_by_heart_is_found(config, run_tool, tmp_path):
    work_dir, marks = tmp_path / 'run', tmp_path / 'marks.csv'
    constant = tmp_path / 'constant.py'
    constant.write_text(f"""
_base_ = {str(config)!r}
param_scheduler = []
optim_wrapper = dict(optimizer=dict(lr=5e-3))
""")
    only = [f'{name}_dataloader.dataset.subsets=[0]' for name in ('train', 'val', 'test')]
    options = ('--shrink', '--cfg-options', *only)
    assert (
        run_tool(
            'train',
            constant,
            '--work-dir',
            work_dir,
            *options,
            'train_cfg.max_iters=60',
            'train_cfg.val_interval=60',
        )
        == 0
    )
    assert (
        run_tool(
            'test',
            constant,
            work_dir / 'iter_60.pth',
            '--work-dir',
            work_dir,
            '--out',
            marks,
            *options,
        )
        == 0
    )
    (results,) = work_dir.glob('*/*.json')
    scores = json.loads(results.read_text())
    assert scores['froc/cpm'] == 1
    assert scores['froc/AP@0.3'] == 1
