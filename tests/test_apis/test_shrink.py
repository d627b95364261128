from mmengine.config import Config

from mmdet3d_medical.apis import load_config, shrink


def test_every_copy_of_a_value_is_changed():
    crop = dict(type='RandomCrop3D', size=(160, 160, 48))
    cfg = Config(
        dict(
            model=dict(
                backbone=dict(in_channels=1, base_channels=64, norm_cfg=dict(num_groups=32)),
                neck=dict(in_channels=[64, 128, 256], out_channels=128),
                test_cfg=dict(tile_size=192, tile_overlap=(64, 64, 8), score_thr=0.01),
            ),
            train_dataloader=dict(
                batch_size=8,
                num_workers=4,
                persistent_workers=True,
                dataset=dict(
                    type='Wrapper', dataset=dict(pipeline=[crop, dict(type='Pad', size=500)])
                ),
            ),
            test_dataloader=dict(batch_size=1, num_workers=2),
            train_cfg=dict(max_iters=5000, val_interval=1000),
            default_hooks=dict(checkpoint=dict(interval=500), logger=dict(interval=50)),
        )
    )
    small = shrink(cfg)
    assert small.model.backbone == dict(
        in_channels=1, base_channels=16, norm_cfg=dict(num_groups=8)
    )
    assert small.model.neck == dict(in_channels=[16, 32, 64], out_channels=32)
    assert small.model.test_cfg == dict(tile_size=64, tile_overlap=(16, 16, 8), score_thr=0.01)
    loader = small.train_dataloader
    assert (loader.batch_size, loader.num_workers, loader.persistent_workers) == (2, 0, False)
    crop, pad = loader.dataset.dataset.pipeline
    assert tuple(crop['size']) == (64, 64, 48)
    assert pad['size'] == 500
    assert small.test_dataloader == dict(batch_size=1, num_workers=0)
    assert small.train_cfg == dict(max_iters=20, val_interval=20)
    assert small.default_hooks == dict(checkpoint=dict(interval=20), logger=dict(interval=1))
    assert cfg.model.backbone.base_channels == 64


def test_options_win_over_shrinking(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('train_cfg = dict(max_iters=1000)\n')
    assert load_config(str(path), small=True).train_cfg.max_iters == 20
    cfg = load_config(str(path), small=True, options={'train_cfg.max_iters': 3})
    assert cfg.train_cfg.max_iters == 3
    assert cfg.work_dir == 'work_dirs/config'


def test_validation_takes_one_scan_and_the_test_all():
    loader = dict(dataset=dict(type='VolumeDetDataset', data_root='data/mine/', split='test.txt'))
    small = shrink(Config(dict(val_dataloader=loader, test_dataloader=loader)))
    assert small.val_dataloader.dataset == {**loader['dataset'], 'indices': 1}
    assert small.test_dataloader.dataset == loader['dataset']


def test_patches_of_both_kinds_stay_in_small_batches():
    cfg = load_config('configs/retina3d/retina3d_fpn_phantom.py', semi=['phantom', 'focalmix'])
    for loader in (cfg.train_dataloader, cfg.train_dataloader.sampler):
        loader.batch_size = 6
    cfg.train_dataloader.sampler.source_ratio = [2, 1]
    loader = shrink(cfg).train_dataloader
    assert loader.batch_size == loader.sampler.batch_size == 3
