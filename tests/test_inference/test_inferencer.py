"""The inferencer on one scan in many clothes."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.apis import LesionInferencer
from mmdet3d_medical.datasets.converters.cache import ConvertSettings, ScanSource, VolumeCache
from mmdet3d_medical.inference.scans import scan_in_memory
from mmdet3d_medical.packing import read_model, write_model
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.errors import UsageError
from tests.test_datasets import dicom_series

SPACING = (0.9, 0.9, 1.5)
INFERENCER = 'mmdet3d_medical.inference.inferencer'


@pytest.fixture
def inferencer():
    return LesionInferencer('phantom', device='cpu')


def make_scan(spacing=SPACING, shape=(40, 60, 64)):
    """Noise of lung with bright balls, which the detector of phantoms takes for nodules."""
    voxels = np.random.default_rng(1).normal(-850, 15, shape)
    for center, radius in (((12, 20, 20), 4), ((25, 40, 40), 5)):
        distance = (np.indices(shape).T - np.array(center)) * spacing[::-1]
        voxels[np.sqrt((distance**2).sum(-1)).T < radius] = 30
    image = sitk.GetImageFromArray(voxels.astype(np.int16))
    image.SetSpacing(spacing)
    image.SetOrigin((-30, -20, -150))
    return image


def positions(findings):
    return np.array([lesion.center_mm for lesion in findings.lesions])


def test_findings_lie_where_the_balls_are(inferencer):
    image = make_scan()
    (found,) = inferencer(image, score_thr=0.3)
    assert found.model == 'phantom' and found.threshold == 0.3
    for index in ((20, 20, 12), (40, 40, 25)):
        place = np.array(image.TransformIndexToPhysicalPoint(index))
        assert np.linalg.norm(positions(found) - place, axis=1).min() < 2
    scores = [lesion.score for lesion in found.lesions]
    assert scores == sorted(scores, reverse=True) and min(scores) >= 0.3


def test_same_scan_in_other_clothes_has_the_same_findings(tmp_path, inferencer):
    """File, image, array, turned storage: positions agree to .01 mm."""
    image = make_scan()
    (expected,) = inferencer(image, score_thr=0.1)
    assert len(expected.lesions) >= 2
    sitk.WriteImage(image, str(tmp_path / 'a.nii.gz'))
    sitk.WriteImage(sitk.DICOMOrient(image, 'SAR'), str(tmp_path / 'b.mha'))
    array = sitk.GetArrayFromImage(image), VolumeGeometry.from_sitk(image)
    others = [tmp_path / 'a.nii.gz', str(tmp_path / 'b.mha'), array]
    for found in inferencer(others, score_thr=0.1):
        np.testing.assert_allclose(positions(found), positions(expected), atol=0.01)
        for one, other in zip(found.lesions, expected.lesions, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
            np.testing.assert_allclose(one.size_mm, other.size_mm, atol=0.01)


def test_dicom_and_nifti_have_the_same_findings(tmp_path, inferencer):
    image = make_scan(spacing=(dicom_series.SPACING[0], dicom_series.SPACING[1], 1.5))
    voxels = sitk.GetArrayFromImage(image)
    places = dicom_series.positions(count=len(voxels), step=1.5)
    dicom_series.write_series(tmp_path / 'in', voxels, places=places, SliceThickness=1.5)
    image.SetOrigin(dicom_series.ORIGIN)
    (expected,) = inferencer(image, score_thr=0.1)
    (found,) = inferencer(tmp_path / 'in', score_thr=0.1)
    assert found.scan_id == '1.2.3' and len(found.lesions) >= 2
    np.testing.assert_allclose(positions(found), positions(expected), atol=0.01)


def test_threshold_is_the_models_or_that_of_a_rate_or_as_given(inferencer):
    facts, image = read_model('phantom').facts, make_scan()
    assert inferencer(image)[0].threshold == facts.threshold
    assert inferencer(image, fp_per_scan=4)[0].threshold == facts.score_at(4)
    assert inferencer(image, score_thr=0.25, fp_per_scan=4)[0].threshold == 0.25
    for score in (1.5, -0.1, float('nan')):
        with pytest.raises(ValueError, match='the lowest score must lie in 0 to 1'):
            inferencer(image, score_thr=score)


def test_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="the device 'cuda:99' cannot be used"):
        LesionInferencer('phantom', 'cuda:99')
    with pytest.raises(UsageError, match="the device 'gpu' cannot be used"):
        LesionInferencer('phantom', 'gpu')


@pytest.mark.tried(
    'predict', 'an image that is no CT in HU', 'the scan fails, naming its lowest value'
)
def test_image_that_is_no_ct_is_refused(inferencer):
    image = sitk.GetImageFromArray(np.full((20, 20, 20), 200, np.int16))
    with pytest.raises(ValueError, match='scan_0: its lowest value is 200, a CT in HU has air'):
        inferencer(image)


@pytest.mark.tried('predict', 'a scan without lungs', 'all of it is searched, a note says so')
def test_what_has_no_lungs_is_searched_as_a_whole_and_that_is_told(inferencer):
    (found,) = inferencer(make_scan())
    assert found.notes == ('no lungs were found: all of the scan was searched',)


@pytest.mark.tried('predict', 'thick slices, in any format', 'searched, a note says so')
def test_thick_slices_are_told_of_files_as_of_dicom(tmp_path, inferencer):
    sitk.WriteImage(make_scan((0.9, 0.9, 7.0), (20, 60, 64)), str(tmp_path / 'a.nii.gz'))
    (found,) = inferencer(tmp_path / 'a.nii.gz')
    assert any('slices of 7 mm are thicker than the 2.5 mm' in note for note in found.notes)


@pytest.mark.tried(
    'predict',
    'a threshold so low that the model finds more than it keeps of a scan',
    'a note says how many it keeps, and below which score there may be more',
)
def test_findings_that_the_model_does_not_keep_are_told(inferencer):
    image = make_scan()
    (all_kept,) = inferencer(image, score_thr=0.04)
    assert not any('the most' in note for note in all_kept.notes)
    scores = [lesion.score for lesion in all_kept.lesions]
    assert len(scores) > 2 and scores[1] > scores[2]
    inferencer.model.test_cfg['max_per_scan'] = 2
    (cut,) = inferencer(image, score_thr=0.04)
    assert [lesion.score for lesion in cut.lesions] == pytest.approx(scores[:2])
    assert cut.notes[-1] == (
        '2 findings, the most that the model keeps: there may be more below a score of '
        f'{scores[1]:.2g}'
    )
    (exact,) = inferencer(image, score_thr=(scores[0] + scores[1]) / 2)
    assert len(exact.lesions) == 1 and not any('the most' in note for note in exact.notes)


def test_sides_that_a_file_does_not_say_are_told(tmp_path, inferencer):
    sitk.WriteImage(make_scan(), str(tmp_path / 'a.mha'))
    lines = (tmp_path / 'a.mha').read_bytes().splitlines(keepends=True)
    (tmp_path / 'a.mha').write_bytes(b''.join(x for x in lines if b'TransformMatrix' not in x))
    (found,) = inferencer(str(tmp_path / 'a.mha'))
    (note,) = (note for note in found.notes if 'a.mha has no TransformMatrix' in note)
    assert 'left and right may be swapped' in note and 'has no Offset' not in note


def make_chest():
    """The scan as a lung in a body."""
    voxels = np.full((60, 120, 150), 40, np.int16)
    voxels[10:50, 30:90, 40:104] = sitk.GetArrayFromImage(make_scan())
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(SPACING)
    return image


def test_boxes_come_back_to_the_scan_from_a_crop_to_the_lungs(inferencer):
    """The network sees the box of the lungs, positions are still those of the scan."""
    image = make_chest()
    (found,) = inferencer(image, score_thr=0.3)
    assert not found.notes
    for index in ((60, 50, 22), (80, 70, 35)):
        place = np.array(image.TransformIndexToPhysicalPoint(index))
        assert np.linalg.norm(positions(found) - place, axis=1).min() < 4  # 2 mm voxels


def test_network_sees_what_the_converters_write(tmp_path, inferencer):
    """Voxels and geometry are those of ``convert-volumes`` with the model's settings."""
    sitk.WriteImage(make_chest(), str(tmp_path / 'a.mha'))
    settings = ConvertSettings((2.0, 2.0, 2.0), 'lungs')
    record = VolumeCache(tmp_path / 'out', settings).convert(ScanSource('a', tmp_path / 'a.mha'))
    volume, grid, _ = inferencer.prepare(scan_in_memory(make_chest(), 'a'))
    np.testing.assert_array_equal(volume, np.load(tmp_path / 'out/volumes/a.npy'))
    assert volume.size < 60 * 120 * 150 * 0.9 * 0.9 * 1.5 / 8 / 2  # it was cut
    assert grid.to_dict() == record['geometry']


def test_tiny_scan_gives_findings_or_none_but_no_error(inferencer):
    image = make_scan(shape=(3, 60, 64))
    assert isinstance(inferencer(image)[0].lesions, tuple)


def test_weights_of_another_network_are_refused(tmp_path):
    folder = read_model('phantom')
    facts = folder.facts.model_dump(exclude={'sha256'})
    facts = json.loads(json.dumps(facts))
    facts['config']['backbone']['base_channels'] = 16
    facts['config']['neck']['in_channels'] = [16, 32, 64]
    write_model(tmp_path / 'm', facts, folder.weights(), '')
    with pytest.raises(UsageError, match='the weights do not fit the config in model.json'):
        LesionInferencer(tmp_path / 'm', 'cpu')


def test_unknown_backend_is_refused():
    with pytest.raises(UsageError, match="backend must be one of auto, torch, .* found 'tpu'"):
        LesionInferencer('phantom', 'cpu', 'tpu')


@pytest.mark.parametrize('backend', ['openvino', 'onnxruntime'])
def test_backends_find_the_same(backend):
    pytest.importorskip(backend)
    image = make_scan()
    plain, other = (LesionInferencer('phantom', 'cpu', name) for name in ('torch', backend))
    assert (plain.backend, other.backend) == ('torch', backend)
    (expected,), (found,) = plain(image, score_thr=0.05), other(image, score_thr=0.05)
    assert len(found.lesions) == len(expected.lesions) >= 2
    np.testing.assert_allclose(positions(found), positions(expected), atol=1e-3)
    for one, two in zip(found.lesions, expected.lesions, strict=True):
        assert one.score == pytest.approx(two.score, abs=1e-3)
        np.testing.assert_allclose(one.size_mm, two.size_mm, atol=1e-3)


@pytest.mark.parametrize(('faster', 'taken'), [(True, 'openvino'), (False, 'torch')])
def test_the_faster_backend_is_taken(faster, taken, monkeypatch):
    pytest.importorskip('openvino')
    monkeypatch.setattr(f'{INFERENCER}.is_faster', lambda *_: faster)
    inferencer = LesionInferencer('phantom', 'cpu')
    assert inferencer.backend == taken and (inferencer.model.runtime is None) != faster
    assert LesionInferencer('phantom', 'cpu', 'openvino').backend == 'openvino'


def test_a_backend_that_cannot_is_left_or_refused(monkeypatch):
    pytest.importorskip('openvino')

    def refuse(*_):
        raise UsageError('openvino computes other outputs than torch for this network')

    monkeypatch.setattr(f'{INFERENCER}.make_runtime', refuse)
    assert LesionInferencer('phantom', 'cpu').backend == 'torch'
    with pytest.raises(UsageError, match='computes other outputs'):
        LesionInferencer('phantom', 'cpu', 'openvino')
