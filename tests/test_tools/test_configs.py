from pathlib import Path

import pytest
import yaml
from mmengine.runner import Runner

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.utils import register_all_modules

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)


def use_data(node, root: Path) -> None:
    """Let every data set in a config read this folder, whatever split it asks for."""
    if isinstance(node, dict):
        if 'data_root' in node:
            node.update(data_root=str(root), split=None)
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            use_data(item, root)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_config_trains_two_steps(path, data_root, tmp_path):
    register_all_modules()
    cfg = load_config(str(path), small=True, work_dir=str(tmp_path), options={
        'train_cfg.max_iters': 2, 'train_cfg.val_interval': 1000,
        'default_hooks.checkpoint.interval': 2})
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        use_data(cfg[name], data_root)
    cfg.experiment_name = f'{path.stem}_{tmp_path.name}'
    model = Runner.from_cfg(cfg).train()
    assert (tmp_path / 'iter_2.pth').is_file()
    assert all(weight.isfinite().all() for weight in model.parameters())
    assert sum(weight.numel() for weight in model.parameters()) < 1e7


def test_metafiles_list_every_config():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    metafiles = [yaml.safe_load((ROOT / path).read_text()) for path in index['Import']]
    listed = [model['Config'] for metafile in metafiles for model in metafile['Models']]
    assert sorted(listed) == [str(path.relative_to(ROOT)) for path in CONFIGS]
