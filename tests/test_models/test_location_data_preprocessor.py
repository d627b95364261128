"""The position of voxels in their scan, whatever became of the patch."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample

from mmdet3d_medical.datasets.transforms import (
    RandomCrop3D,
    RandomFlip3D,
    RandomPermuteAxes,
    RandomResizedCrop3D,
)
from mmdet3d_medical.models.data_preprocessors import LocationDataPreprocessor
from mmdet3d_medical.models.detectors.views import View
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry

SCAN = VolumeGeometry((5.0, -7.0, 9.0), (2.0, 2.0, 2.0), (1, 0, 0, 0, 0, 1, 0, -1, 0), (10, 8, 6))


def location_of(patch: VolumeGeometry, size, scan=SCAN, **settings) -> np.ndarray:
    sample = DetDataSample(metainfo=dict(geometry=patch, scan_geometry=scan))
    batch = dict(inputs=[torch.zeros(1, *size)], data_samples=[sample])
    return LocationDataPreprocessor(**settings)(batch)['inputs'][0, 1:].numpy()


def test_a_whole_scan_by_hand():
    z, y, x = location_of(SCAN, SCAN.shape)
    np.testing.assert_allclose(z[:, 3, 2], np.arange(10) / 10 - 0.45, atol=1e-6)
    np.testing.assert_allclose(y[3, :, 2], np.arange(8) / 8 - 0.4375, atol=1e-6)
    np.testing.assert_allclose(x[3, 2], np.arange(6) / 6 - 0.5 + 1 / 12, atol=1e-6)


def test_beyond_the_ends_is_as_at_the_ends():
    z, _, x = location_of(SCAN.cropped((-2, 0, 3), (4, 8, 4)), (4, 8, 4))
    np.testing.assert_allclose(z[:, 0, 0], [-0.45, -0.45, -0.45, -0.35], atol=1e-6)
    np.testing.assert_allclose(x[0, 0], [1 / 12, 3 / 12, 5 / 12, 5 / 12], atol=1e-6)


@pytest.mark.parametrize('seed', range(8))
def test_channels_follow_the_transforms(seed):
    """A volume that holds the positions is transformed; they are found again by geometry."""
    scan = VolumeGeometry(SCAN.origin, SCAN.spacing, SCAN.direction, (24, 20, 22))
    results = dict(
        volume=location_of(scan, scan.shape, scan).astype(np.float32), geometry=scan,
        gt_bboxes=np.zeros((0, 6), np.float32), gt_bboxes_labels=np.zeros(0, int),
        gt_ignore_flags=np.zeros(0, bool), rng=np.random.default_rng(seed),
    )  # fmt: skip
    for transform in (RandomResizedCrop3D((16, 16, 16)), RandomFlip3D(), RandomPermuteAxes(),
                      RandomCrop3D((8, 10, 12))):  # fmt: skip
        results = transform.transform(results)
    found = location_of(results['geometry'], (8, 10, 12), scan)
    # Zooming interpolates between edges and holds the outermost voxels; elsewhere it is exact.
    inner = np.abs(found).max(axis=0) < 0.45
    assert inner.mean() > 0.5
    np.testing.assert_allclose(found[:, inner], results['volume'][:, inner], atol=5e-3)


def test_a_view_carries_the_positions_along():
    patch, view = SCAN.cropped((1, 2, 0), (6, 6, 6)), View((2, 0, 1), (0, 2))
    seen = SCAN.cropped((1, 2, 0), (6, 6, 6)).permuted((2, 0, 1)).flipped((0, 2))
    batch = torch.from_numpy(location_of(patch, (6, 6, 6)))[None]
    np.testing.assert_allclose(view.apply(batch)[0], location_of(seen, (6, 6, 6)), atol=1e-6)


def test_padding_in_the_batch_and_of_tiles_agree():
    settings = dict(window=(0, 1), value_range=(0, 1), pad_value=0.25)
    padded = location_of(SCAN, SCAN.shape, pad_size_divisor=8, **settings)
    preprocessor = LocationDataPreprocessor(**settings)
    volume = torch.from_numpy(
        np.concatenate([np.ones((1, *SCAN.shape), np.float32), location_of(SCAN, SCAN.shape)])
    )
    by_tiles = preprocessor.pad(volume, (16, 8, 8))
    np.testing.assert_allclose(by_tiles[1:], padded, atol=1e-6)
    assert by_tiles[0].unique().tolist() == [1]  # continued by the last voxels
    assert preprocessor.pad(volume, SCAN.shape) is not None


def test_without_a_geometry_it_is_refused():
    sample = DetDataSample(metainfo=dict(scan_id='007'))
    with pytest.raises(ValueError, match='scan 007.*geometry'):
        LocationDataPreprocessor()(dict(inputs=[torch.zeros(1, 4, 4, 4)], data_samples=[sample]))


def small_deeplung(**changes) -> dict:
    return dict(
        type='DenseDetector3D',
        data_preprocessor=dict(type='LocationDataPreprocessor', pad_size_divisor=16),
        backbone=dict(type='DeepLungRes18', stem_channels=2, channels=(4, 4, 4, 4),
                      decoder_channels=(4, 4), norm_cfg=None),
        bbox_head=dict(
            type='Pointwise3DHead', num_classes=1, in_channels=4, feat_channels=0,
            anchor_generator=dict(type='Anchor3DGenerator', strides=[4], sizes=[[5]]),
            bbox_coder=dict(type='CubeBox3DCoder'),
            assigner=dict(type='ATSS3DAssigner'),
            loss_cls=dict(type='SoftFocalLoss'),
            loss_bbox=dict(type='mmdet.SmoothL1Loss'),
            **changes,
        ),
    )  # fmt: skip


def sample_with(make_sample, boxes, shape=(16, 16, 16)) -> DetDataSample:
    sample = make_sample(boxes)
    geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), (1, 0, 0, 0, 1, 0, 0, 0, 1), (64, 64, 64))
    sample.set_metainfo(dict(geometry=geometry.cropped((8, 0, 40), shape), scan_geometry=geometry))
    return sample


def test_it_is_trained_by_focalmix_whose_views_and_mixup_leave_positions_alone(make_sample):
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='FocalMixDetector', detector=small_deeplung(),
        targets=dict(type='AnchorTargets', views=dict(num=2, scale_range=(2.0, 2.0))),
        mixers=dict(
            image=dict(type='ImageMixUp', eta=1.0), object=dict(type='ObjectMixUp', eta=1.0)
        ),
    ))  # fmt: skip
    model.init_weights()
    volumes = [torch.randn(1, 16, 16, 16) * 300 for _ in range(4)]
    samples = [sample_with(make_sample, [[3.0, 3, 3, 8, 8, 8]]) for _ in range(4)]
    halves = dict(sup=slice(2), unsup=slice(2, 4))
    batch = model.data_preprocessor(dict(
        inputs={name: volumes[half] for name, half in halves.items()},
        data_samples={name: samples[half] for name, half in halves.items()},
    ))  # fmt: skip
    seen = []
    hook = model.detector.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    sum(model.loss(batch['inputs'], batch['data_samples']).values()).backward()
    hook.remove()
    given = torch.cat([batch['inputs']['sup'], batch['inputs']['unsup']])
    assert torch.equal(seen[-1][:, 1:], given[:, 1:])
    assert not torch.equal(seen[-1][:, :1], given[:, :1])
    for view in seen[:2]:
        for channels, scale in ((slice(1), 2), (slice(1, None), 1)):
            expected = scale * batch['inputs']['unsup'][:, channels]
            assert torch.equal(view[:, channels].flatten().sort()[0], expected.flatten().sort()[0])


def test_which_channels_focalmix_takes_for_image_can_be_said():
    mixup = dict(type='ImageMixUp', num_channels=2)
    model = MODELS.build(dict(
        type='FocalMixDetector', detector=small_deeplung(),
        mixers=dict(image=mixup, object=dict(type='ObjectMixUp')),
    ))  # fmt: skip
    assert model.mixers[0].num_channels == 2
    assert model.mixers[1].num_channels == model.targets.views.num_channels == -3


def test_mined_losses_under_focalmix_are_refused(make_sample):
    model = MODELS.build(dict(
        type='FocalMixDetector',
        detector=small_deeplung(sampler=dict(type='HardNegativeMining')),
        targets=dict(type='AnchorTargets', views=dict(num=1)), mixers={},
    ))  # fmt: skip
    batch = model.data_preprocessor(dict(
        inputs=dict(unsup=[torch.zeros(1, 16, 16, 16)]),
        data_samples=dict(unsup=[sample_with(make_sample, [])]),
    ))  # fmt: skip
    with pytest.raises(ValueError, match='sampler=None'):
        model.loss(batch['inputs'], batch['data_samples'])


def test_tiles_suit_the_strides_inside_the_network(make_sample):
    """The head's stride is 4, the network halves down to 16."""
    cfg = small_deeplung()
    model = MODELS.build(dict(cfg, test_cfg=dict(tile_size=32, tile_overlap=8))).eval()
    sample = sample_with(make_sample, [], shape=(52, 20, 16))
    batch = model.data_preprocessor(
        dict(inputs=[torch.zeros(1, 52, 20, 16)], data_samples=[sample])
    )
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0][0, 1, :, 0, 0]))
    model(**batch, mode='predict')
    starts = [round((float(place[0]) + 0.5) * 64 - 0.5) - 8 for place in seen]  # patch from z = 8
    assert {len(place) for place in seen} == {32}
    assert starts == [0, 0, 16, 16, 20, 20]  # the last one ends with the scan
