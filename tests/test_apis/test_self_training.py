"""What a round of self-training starts from; tests/test_tools/test_self_train.py runs rounds."""

from types import SimpleNamespace

import pytest
import torch

from mmdet3d_medical.apis import save_weights
from mmdet3d_medical.apis.self_training import SelfTraining
from mmdet3d_medical.utils.checkpoints import read_checkpoint


@pytest.mark.parametrize('tested, value', [('student', 1.0), ('teacher', 2.0)])
def test_a_round_starts_from_the_part_that_made_its_marks(tmp_path, tested, value):
    weights = {'detector.w': torch.ones(1), 'teacher.model.w': 2 * torch.ones(1)}
    start = tmp_path / 'iter_1.pth'
    save_weights(str(start), weights, dict(mmdet3d_medical=dict(tested=tested)))
    training = SelfTraining(SimpleNamespace(), start, tmp_path)
    training.folder(1).mkdir()
    found = read_checkpoint(training.start_of(1))['state_dict']
    name = 'detector.w' if tested == 'student' else 'w'
    assert found[name].item() == value
    assert len(found) == (2 if tested == 'student' else 1)
