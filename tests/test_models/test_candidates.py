"""Unlabeled patches cut around the model's candidates."""

import copy

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample

from mmdet3d_medical.datasets import write_index
from mmdet3d_medical.datasets.transforms import PackVolumeInputs, RandomCrop3D
from mmdet3d_medical.datasets.transforms.spatial import flip, permute
from mmdet3d_medical.engine.hooks.guess_quality import KnownLesions
from mmdet3d_medical.models.detectors import CandidateCrop
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry

GEOMETRY = VolumeGeometry(
    (5.0, -3.0, 100.0), (0.7, 0.7, 2.0), (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1), (24, 30, 30)
)
LESION = np.array([[10, 14, 18, 12, 16, 20]], np.float32)  # a cube of 2 voxels in GEOMETRY


def bright(*places, shape=(16, 16, 16), width=2) -> torch.Tensor:
    """A patch (1, 1, *shape) with cubes of 2 voxels at a prior's place: (z, y, x, logit)."""
    volume = torch.full((1, 1, *shape), -9.0)
    for z, y, x, value in places:
        volume[0, 0, z : z + width, y : y + width, x : x + width] = value
    return volume


def cut(detector, volume, number=1, seed=0, statistics='batch', **cfg) -> tuple:
    """The parts of so many copies of a patch, and where they begin."""
    crop = CandidateCrop(**{'size': (8, 8, 8), 'prob': 1.0, **cfg})
    samples = [DetDataSample(metainfo=dict(scan_id='a', geometry=GEOMETRY))] * number
    inputs = volume.expand(number, -1, -1, -1, -1)
    parts, moved = crop(detector, inputs, samples, statistics, np.random.default_rng(seed))
    starts = [GEOMETRY.world_to_index(np.array([s.geometry.origin]))[0] for s in moved]
    return parts, np.rint(starts).astype(int), moved


def test_the_part_holds_the_candidate(block_detector):
    """Also at the border, where it cannot be in the middle."""
    for place in ((6, 8, 4), (0, 14, 8)):
        parts, starts, _ = cut(block_detector(), bright((*place, 9.0)), 20, jitter=1.0)
        assert parts.shape == (20, 1, 8, 8, 8)
        assert ((parts == 9.0).flatten(1).sum(1) == 8).all()
        assert ((starts >= 0) & (starts <= 8)).all() and len(np.unique(starts, axis=0)) > 3


def test_without_jitter_the_candidate_is_in_the_middle(block_detector):
    parts, starts, _ = cut(block_detector(), bright((6, 8, 4, 9.0)), 3, jitter=0.0)
    assert starts.tolist() == [[3, 5, 1]] * 3  # the cube's middle 7, 9, 5 less half of 8
    assert (parts[:, 0, 3:5, 3:5, 3:5] == 9.0).all()


def test_candidates_are_drawn_by_their_probability(block_detector):
    """Three to one, and a brighter neighbour that overlaps is one candidate, not two."""
    detector = block_detector(2, [2, 6])
    logits = torch.logit(torch.tensor([0.9, 0.3])).tolist()
    volume = bright((2, 2, 2, logits[0]), (12, 12, 12, logits[1]))
    parts, _, _ = cut(detector, volume, 400, size=(6, 6, 6), jitter=0.0, score_thr=0.2)
    first = (parts == volume.max()).flatten(1).any(dim=1).double().mean()
    second = (parts == volume[0, 0, 12, 12, 12]).flatten(1).any(dim=1).double().mean()
    assert first + second == 1 and 0.68 < first < 0.82  # 0.75, standard error 0.02

    none = cut(detector, volume, 50, score_thr=0.95)[1]
    assert len(np.unique(none, axis=0)) > 40  # no candidate: anywhere


@pytest.mark.parametrize('cfg', [dict(prob=0.0), dict(score_thr=1.0)])
def test_without_candidates_all_places_are_equally_likely(block_detector, cfg):
    detector, calls = block_detector(), []
    extract = detector.extract_feat
    detector.extract_feat = lambda x: (calls.append(len(x)), extract(x))[1]
    volume = bright((6, 8, 4, 5.0), shape=(10, 8, 11))
    _, starts, _ = cut(detector, volume, 1200, **cfg, per_forward=1200)
    places, counts = np.unique(starts, axis=0, return_counts=True)
    assert len(places) == 3 * 1 * 4 and (starts[:, 1] == 0).all()
    assert 65 < counts.min() and counts.max() < 140  # 100 each, standard deviation 9.6
    assert calls == ([] if 'prob' in cfg else [1200])  # what is not asked is not computed


def test_a_share_of_the_patches_follows_the_model(block_detector):
    sizes, detector = [], block_detector()
    extract = detector.extract_feat
    detector.extract_feat = lambda x: (sizes.append(len(x)), extract(x))[1]
    volume = bright((0, 0, 0, 9.0))
    parts, _, _ = cut(detector, volume, 300, prob=0.5, per_forward=7)
    # Anywhere, the corner is hit with a chance of 1 / 9^3.
    assert 0.4 < (parts == 9.0).flatten(1).any(1).double().mean() < 0.6
    assert set(sizes[:-1]) == {7} and sizes[-1] <= 7 and 120 < sum(sizes) < 180


def test_patches_per_forward_only_bound_the_memory(block_detector):
    volume = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    one, many = (cut(block_detector(), volume, 5, per_forward=n)[1] for n in (1, 5))
    assert np.array_equal(one, many)
    assert not np.array_equal(one, cut(block_detector(), volume, 5, seed=1)[1])


def test_looking_leaves_no_trace(block_detector):
    detector = block_detector(norm=True).train()
    before = copy.deepcopy(detector.state_dict())
    for statistics in ('batch', 'running'):
        parts, _, _ = cut(detector, bright((6, 8, 4, 9.0)), statistics=statistics)
        assert not parts.requires_grad
    assert detector.training and detector.norm.training
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_statistics_are_those_of_guessing(block_detector):
    """With those of the patch the spot stands out, with mean 0 and variance 1 it does not."""
    detector = block_detector(norm=True).train()
    volume = bright((6, 8, 4, -5.0))
    batch, running = (cut(detector, volume, 40, jitter=0.0, score_thr=0.9, statistics=name)[1]
                      for name in ('batch', 'running'))
    assert batch.tolist() == [[3, 5, 1]] * 40 and len(np.unique(running, axis=0)) > 30


def test_parts_do_not_reach_into_padding(block_detector):
    crop = CandidateCrop((8, 8, 8), prob=1.0, jitter=0.0)
    sample = DetDataSample(metainfo=dict(volume_shape=(16, 16, 13), batch_input_shape=(16,) * 3))
    volume = bright((6, 8, 12, 9.0))
    parts, moved = crop(block_detector(), volume, [sample], 'batch', np.random.default_rng(0))
    assert torch.equal(parts[0, 0], volume[0, 0, 3:11, 5:13, 5:13])
    assert moved[0].volume_shape == moved[0].batch_input_shape == (8, 8, 8)
    assert sample.volume_shape == (16, 16, 13)


def test_annotations_stay_behind(block_detector, make_sample):
    crop, sample = CandidateCrop((8, 8, 8)), make_sample([[0.0, 0, 0, 2, 2, 2]])
    rng = np.random.default_rng(0)
    _, (moved,) = crop(block_detector(), bright(), [sample], 'batch', rng)
    assert 'gt_instances' not in moved and len(sample.gt_instances) == 1


# ------------------------------------------------------------- in FocalMixDetector


def unlabeled_item(seed: int) -> dict:
    """A patch of 16^3 of a scan whose only lesion is bright, as a pipeline makes it."""
    volume = np.full((1, *GEOMETRY.shape), -900, np.int16)
    (z1, y1, x1, z2, y2, x2), = LESION.astype(int)
    volume[:, z1:z2, y1:y2, x1:x2] = 400
    results = dict(
        volume=volume, geometry=GEOMETRY, gt_bboxes=LESION, gt_bboxes_labels=np.zeros(1, np.int64),
        gt_ignore_flags=np.zeros(1, bool), rng=np.random.default_rng(seed), scan_id='a',
    )
    results = RandomCrop3D((16, 16, 16), lesion_prob=1.0)(results)
    results = permute(flip(results, [2]), (1, 0, 2))
    return PackVolumeInputs()(results)


@pytest.fixture
def known(tmp_path):
    """What the hook knows about the scan."""
    center, size = GEOMETRY.box_to_world(LESION)
    lesion = dict(center=center[0].tolist(), size=size[0].tolist(), diameter=3.0)
    scan = dict(scan_id='a', annotated=True, volume='volumes/a.npy', geometry=GEOMETRY.to_dict(),
                instances=[lesion])
    write_index(tmp_path / 'index.json',
                dict(classes=['nodule'], spacing=None, settings={}, scans=[scan]))
    return KnownLesions(str(tmp_path / 'index.json'))


def cropping(detector, **cfg):
    """FocalMix around a detector, with parts of 8^3."""
    torch.manual_seed(0)
    crop = dict(type='CandidateCrop', size=(8, 8, 8), **cfg.pop('crop', {}))
    model = MODELS.build(dict(type='FocalMixDetector', detector=detector, unlabeled_crop=crop,
                              **{'views': dict(num=2), **cfg}))
    model.init_weights()
    return model


@pytest.mark.parametrize('prob', [0.0, 1.0])
def test_diagnostics_look_where_the_part_lies(known, block_detector, prob):
    """The annotated box, looked up for the part, holds the bright voxels of the part."""
    model = cropping(dict(type='BlockDetector', stride=1, sizes=(1,)), image_mixup=None,
                     object_mixup=None, crop=dict(prob=prob, score_thr=0.5),
                     data_preprocessor=dict(type='VolumeDataPreprocessor'))
    items, seen, forward = [unlabeled_item(seed) for seed in range(6)], [], model.extract_feat
    model.extract_feat = lambda x: (seen.append(x), forward(x))[1]
    batch = {key: dict(unsup=[item[key] for item in items]) for key in items[0]}
    model(**model.data_preprocessor(batch, True), mode='loss')
    found = 0
    for patch, meta in zip(seen[-1], model.last_guess.metas, strict=True):
        boxes, neutral = known.in_patch(meta)
        shown = torch.zeros(8, 8, 8, dtype=torch.bool)
        for box in torch.cat([boxes, neutral]).clamp(min=0).round().int().tolist():
            shown[tuple(map(slice, box[:3], box[3:]))] = True
        assert torch.equal(patch[0] == 1, shown)
        found += len(boxes)
    assert found == 6 if prob else found < 6
    assert len(model.last_guess.cls[0]) == 8**3


def test_a_step_of_parts_is_the_step_of_patches_cut_there(small_detector, make_batch):
    """Cropping changes the patches and nothing else of the step; labeled ones stay whole."""
    model = cropping(small_detector(), image_mixup=None, object_mixup=None)
    parts = make_batch(2, (8, 8, 8)), make_batch(3, (16, 16, 16), (), seed=1)
    batch = {key: dict(zip(('sup', 'unsup'), (part[key] for part in parts), strict=True))
             for key in parts[0]}
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    losses = model.loss(**{f'batch_{key}': value for key, value in data.items()})
    assert model.last_guess.cls.shape[0] == 3
    supervised = model.detector(
        **model.detector.data_preprocessor(copy.deepcopy(parts[0]), True), mode='loss')
    torch.testing.assert_close(losses['loss_cls'], supervised['loss_cls'])

    again = cropping(small_detector(), image_mixup=None, object_mixup=None)
    assert again.loss(data['inputs'], data['data_samples']) == losses
    other = cropping(small_detector(), image_mixup=None, object_mixup=None, seed=1)
    assert other.loss(data['inputs'], data['data_samples'])['unsup_loss_cls'] != (
        losses['unsup_loss_cls'])
    assert again.loss(data['inputs'], data['data_samples']) != losses  # the next step


def test_the_teacher_looks_where_there_is_one(small_detector, make_batch):
    model = cropping(small_detector(), teacher=dict(momentum=0.1), crop=dict(prob=1.0))
    sizes = dict(teacher=[], detector=[])
    for name, seen in sizes.items():
        part = getattr(model, name)
        part.extract_feat = lambda x, f=part.extract_feat, seen=seen: (
            seen.append(x.shape[-1]), f(x))[1]
    data = model.data_preprocessor(make_batch(2, (16, 16, 16)), True)
    model.loss(dict(unsup=data['inputs']), dict(unsup=data['data_samples']))
    assert sizes == dict(teacher=[16, 16, 8, 8], detector=[8])


def test_a_batch_without_unlabeled_patches(small_detector, make_batch):
    model = cropping(small_detector())
    losses = model(**model.data_preprocessor(make_batch(2, (16, 16, 16)), True), mode='loss')
    assert set(losses) == {'loss_cls', 'loss_bbox'}


def test_impossible_crops(block_detector):
    with pytest.raises(ValueError, match=r'found one of \(16, 16, 16\) \(scan a\)'):
        cut(block_detector(), bright(), size=(8, 8, 20))
    for cfg, message in ((dict(size=(8, 8)), 'size'), (dict(prob=1.1), 'prob'),
                         (dict(score_thr=0), 'score_thr'), (dict(per_forward=0), 'per_forward')):
        with pytest.raises(ValueError, match=message):
            CandidateCrop(**{'size': (8, 8, 8), **cfg})
