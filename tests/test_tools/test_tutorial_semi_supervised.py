"""The config of the tutorial for two folders is what it says."""

import re
from pathlib import Path

from mmdet3d_medical.apis import load_config

PAGE = Path(__file__).parents[2] / 'docs/tutorials/semi_supervised.md'


def test_the_config_of_the_page(tmp_path):
    (block,) = re.findall(r'^```python\n(.*?)^```$', PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / 'my_focalmix.py').write_text(block)
    cfg = load_config(str(tmp_path / 'my_focalmix.py'))
    assert cfg.model.type == 'FocalMixDetector' and cfg.model.targets.views.num == 4
    assert cfg.model.detector.type == 'DenseDetector3D'
    loader = cfg.train_dataloader
    assert loader.batch_size == loader.sampler.batch_size == 8
    labeled, unlabeled = loader.dataset.datasets.labeled, loader.dataset.datasets.unlabeled
    assert (labeled.data_root, labeled.split) == ('data/annotated/', 'splits/train.txt')
    assert (unlabeled.data_root, unlabeled.split) == ('data/unannotated/', None)
    assert [step.get('lesion_prob') for step in labeled.pipeline[:2]] == [None, 0.7]
    assert [step.get('lesion_prob') for step in unlabeled.pipeline[:2]] == [None, 0.0]
    assert cfg.test_dataloader.dataset.data_root == 'data/annotated/'
    assert cfg.custom_hooks[0].rampup_iters == 4000
