"""MONAI's detector and ours side by side."""

import json
from pathlib import Path
from runpy import run_path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

FOLDER = Path(__file__).parents[1]
TOOL = '../projects/benchmark/benchmark_monai'


@pytest.fixture(autouse=True)
def beside_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))  # as when the file is run


def test_both_train_and_detect(run_tool):
    pytest.importorskip('monai', reason='MONAI is not installed: pip install monai')
    assert run_tool(TOOL, '--side', 16, '--repeat', 1, '--json', 'rows.json') == 0
    rows = json.loads(Path('rows.json').read_text())
    assert set(rows) == {'training step', 'training step, activations recomputed', 'inference'}
    for row in rows.values():
        ours, theirs = row['seconds']
        assert 0 < ours < 2 * theirs  # with room for other work on the machine
    assert rows['inference']['seconds'][0] < rows['training step']['seconds'][0]
    kept, recomputed, inference = (row['peak_mb'][0] for row in rows.values())
    assert 0 < inference < recomputed < kept


def test_sides_that_no_level_fits_are_refused(run_tool, capfd):
    assert run_tool(TOOL, '--side', 24) == 2
    assert '--side must be a multiple of 16' in capfd.readouterr().err


LESIONS = [  # of each patch of 16 x 32 x 48; no two cells are equally near
    [[2.2, 5.1, 8.4, 8.3, 12.2, 17.9], [9.0, 10, 20, 14, 15, 26.7]],
    [],
    [[1.0, 3, 4, 15, 28, 30]],
]


@pytest.mark.parametrize('lesions', [LESIONS, [[], []]], ids=['lesions', 'none'])
def test_both_have_the_same_losses(lesions):
    pytest.importorskip('monai', reason='MONAI is not installed: pip install monai')
    tool = run_path(str(FOLDER / 'benchmark_monai.py'))
    torch.manual_seed(0)
    theirs = tool['monai_detector']().train()
    ours = tool['our_detector'](theirs).train()
    ours.bbox_head.anchors.center_offset = 0.5  # as in MONAI 1.6
    theirs.fg_bg_sampler.pool_size = ours.bbox_head.sampler.pool_size = 1  # leaves no choice
    patches = torch.rand(len(lesions), 1, 16, 32, 48)
    samples, targets = [], []
    for rows in lesions:
        boxes = torch.tensor(rows).reshape(-1, 6)
        labels = torch.zeros(len(boxes), dtype=torch.long)
        samples.append(DetDataSample(gt_instances=InstanceData(bboxes=boxes, labels=labels)))
        targets.append(dict(box=boxes[:, [2, 1, 0, 5, 4, 3]], label=labels))
    found = ours.loss(patches, samples)
    expected = theirs(list(patches.transpose(2, 4).contiguous()), targets)
    close = dict(rtol=1e-4, atol=0)
    torch.testing.assert_close(found['loss_cls'], expected['classification'], **close)
    torch.testing.assert_close(found['loss_bbox'], expected['box_regression'], **close)
