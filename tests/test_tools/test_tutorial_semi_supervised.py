"""The tutorial for two folders: its config, and every command of it on tiny scans."""

import json
from pathlib import Path

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.evaluation.marks import read_scan_ids
from mmdet3d_medical.utils.checkpoints import read_checkpoint

from .tutorials import ROOT, TOOLS, blocks, commands, installed, make_small, write_scans

PAGE = (ROOT / 'docs/tutorials/semi_supervised.md').read_text().partition('## One folder')[0]
STEPS = '10'  # as often guesses are looked at
WATCHED = (
    'unsup_weight',
    'unsup_divisor',
    'positives',
    'unsup_positives',
    'guess_mass',
    'guess_above_half',
)
NAMES = dict(ANNOTATED='annotated', CSV_OR_MASKS='masks', UNANNOTATED='unannotated')


def test_the_config_of_the_page(tmp_path):
    (block,) = blocks(PAGE, 'python')
    (tmp_path / 'my_semi.py').write_text(block)
    cfg = load_config(str(tmp_path / 'my_semi.py'))
    assert cfg.model.type == 'FocalMixDetector' and cfg.model.targets.type == 'BoxTargets'
    assert cfg.model.teacher.type == 'EMATeacher' and cfg.model.predict_on == 'teacher'
    assert cfg.model.detector.type == 'DenseDetector3D'
    loader = cfg.train_dataloader
    assert loader.batch_size == loader.sampler.batch_size == 8
    labeled, unlabeled = loader.dataset.datasets.labeled, loader.dataset.datasets.unlabeled
    assert (labeled.data_root, labeled.split) == ('data/annotated/', 'splits/train.txt')
    assert (unlabeled.data_root, unlabeled.split) == ('data/unannotated/', None)
    assert [step.get('lesion_prob') for step in labeled.pipeline[:2]] == [None, 0.7]
    loading, crop = unlabeled.pipeline[1:3]
    assert loading == dict(type='LoadCandidates', marks='candidates.csv', score_thr=0.0, per_scan=2)
    assert (crop.type, crop.lesion_prob) == ('RandomResizedCrop3D', 0.7)
    assert cfg.test_dataloader.dataset.data_root == 'data/annotated/'
    assert cfg.custom_hooks[0].rampup_iters == 4000
    assert f'iter_{cfg.train_cfg.max_iters}.pth' in PAGE  # where step 5 starts


def test_every_command_of_the_page(run_tool, capfd):
    """From two folders to a comparison on the three annotated scans that nothing was trained on."""
    write_scans(7, 0, 'annotated', 'masks')
    write_scans(3, 1, 'unannotated')
    (config,) = blocks(PAGE, 'python')
    Path('my_semi.py').write_text(installed(config))
    printed = ''
    for command in commands(PAGE):
        name, *words = (NAMES.get(word, word) for word in make_small(command, STEPS))
        assert run_tool(TOOLS[name], *words) == 0, (command, capfd.readouterr())
        printed = capfd.readouterr().out
    assert 'semi-supervised' in printed and 'not resolved' in printed
    train, test = (read_scan_ids(f'data/annotated/splits/{name}.txt') for name in ('train', 'test'))
    assert len(test) == 3 and not {*train} & {*test}
    scans = json.loads(Path('data/unannotated/index.json').read_text())['scans']
    assert [scan['annotated'] for scan in scans] == [False] * 3
    logged = read_checkpoint(Path('work_dirs/semi', f'iter_{STEPS}.pth'))['message_hub'][
        'log_scalars'
    ]
    for value in WATCHED:
        assert f'`{value}`' in PAGE and f'train/{value}' in logged
