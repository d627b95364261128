"""Windowing, padding and meta information."""

import pytest
import torch

from mmdet3d_medical.models.data_preprocessors import VolumeDataPreprocessor


def test_window_by_hand():
    preprocessor = VolumeDataPreprocessor(window=(-1000, 400))
    hu = torch.tensor([-2000, -1000, -300, 400, 3000], dtype=torch.int16).reshape(1, 1, 1, 5)
    batch = preprocessor(dict(inputs=[hu], data_samples=None))
    assert batch['inputs'].flatten().tolist() == [-1, -1, 0, 1, 1]
    assert hu.flatten().tolist() == [-2000, -1000, -300, 400, 3000]
    assert batch['inputs'].dtype == torch.float32


def test_volumes_of_different_sizes_and_types(make_sample):
    volumes = [torch.zeros(1, 3, 4, 5, dtype=torch.int16), torch.full((1, 2, 6, 1), 100.0)]
    samples = [make_sample([]), make_sample([])]
    preprocessor = VolumeDataPreprocessor((0, 100), (0, 1), pad_size_divisor=(1, 4, 2))
    batch = preprocessor(dict(inputs=volumes, data_samples=samples))
    assert batch['inputs'].shape == (2, 1, 3, 8, 6)
    assert batch['inputs'][1].sum() == 2 * 6  # its own voxels are 1, the padding 0
    samples = batch['data_samples']
    assert [s.volume_shape for s in samples] == [(3, 4, 5), (2, 6, 1)]
    assert {s.batch_input_shape for s in samples} == {(3, 8, 6)}


def test_stacked_float_input_is_not_altered():
    volumes = torch.rand(2, 3, 2, 2, 2) * 1400 - 1000
    before = volumes.clone()
    batch = VolumeDataPreprocessor(pad_value=0.5)(dict(inputs=volumes, data_samples=None))
    assert torch.equal(volumes, before)
    torch.testing.assert_close(batch['inputs'], (volumes + 300) / 700)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match='window'):
        VolumeDataPreprocessor(window=(400, -1000))
    with pytest.raises(ValueError, match='pad_size_divisor'):
        VolumeDataPreprocessor(pad_size_divisor=0)
    with pytest.raises(ValueError, match='C, D, H, W'):
        VolumeDataPreprocessor()(dict(inputs=[torch.zeros(2, 2, 2)], data_samples=None))
