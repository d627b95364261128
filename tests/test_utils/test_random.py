"""Generators of different purposes."""

import numpy as np

from mmdet3d_medical.utils.random import generator


def test_the_purpose_keeps_streams_apart_where_numpy_does_not():
    assert np.random.default_rng([0, 5]).random() == np.random.default_rng([0, 5, 0]).random()
    streams = [
        generator('augmentation', 0, 5),
        generator('order of scans', 0, 5),
        generator('views and MixUp', 0, 5, 0),
    ]
    assert len({stream.random() for stream in streams}) == 3


def test_the_same_purpose_and_numbers_give_the_same_stream():
    assert generator('augmentation', 1, 2).random() == generator('augmentation', 1, 2).random()
    assert generator('augmentation', 1, 2).random() != generator('augmentation', 2, 1).random()
