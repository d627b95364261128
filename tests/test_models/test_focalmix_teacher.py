"""Teachers of FocalMix, and checkpoints of it."""

import copy

import pytest
import torch
from mmengine.runner import load_checkpoint

from mmdet3d_medical.registry import MODELS

from .test_focalmix import OFF, ONE_VIEW, ema, step


def test_the_teacher_follows_parameters_and_buffers(focalmix, small_detector, make_branches):
    detector = small_detector()
    detector['backbone']['norm_cfg'] = dict(type='BN3d')
    model = focalmix(detector, teacher=ema(0.25), targets=ONE_VIEW)
    step(model, make_branches())
    theirs, mine = model.teacher.model.state_dict(), model.detector.state_dict()
    start = copy.deepcopy(theirs)
    with torch.no_grad():
        for parameter in model.detector.parameters():
            parameter += 1
    model.follow()
    assert any('running_mean' in name for name in start)
    for name, value in theirs.items():
        expected = mine[name]
        if value.is_floating_point():
            expected = 0.75 * start[name] + 0.25 * mine[name]
        torch.testing.assert_close(value, expected)
    running = [name for name in start if 'running_mean' in name]
    assert any(not torch.equal(start[name], theirs[name]) for name in running)


def test_the_teacher_guesses_and_is_not_trained(focalmix, make_branches):
    model = focalmix(teacher=ema(0.5), targets=ONE_VIEW, **OFF)
    batch = make_branches()
    step(model, batch)
    guess = model.last_guess.cls
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.teacher.parameters(), model.detector.parameters(), strict=True)
    )
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())
    with torch.no_grad():
        model.detector.bbox_head.classify.bias += 1
    model.step.fill_(0)
    step(model, batch)  # the first step: the teacher starts where the detector is
    assert (model.last_guess.cls > guess).all()
    guess = model.last_guess.cls
    with torch.no_grad():
        model.detector.bbox_head.classify.bias += 1
        model.teacher.model.bbox_head.classify.bias -= 1
    step(model, batch)
    assert (model.last_guess.cls < guess).all()


def test_an_ensemble_reads_its_checkpoints(focalmix, small_detector, make_branches, tmp_path):
    """Of FocalMix the part that was tested; without a note, as of old, the student."""
    saved, paths = [], []
    for seed, prefix, meta in (
        (1, '', {}),
        (2, 'detector.', {}),
        (3, 'teacher.model.', dict(mmdet3d_medical=dict(tested='teacher'))),
    ):
        torch.manual_seed(seed)
        plain = MODELS.build(small_detector())
        plain.init_weights()
        saved.append(dict(plain.state_dict()))
        weights = {prefix + key: value for key, value in saved[-1].items()}
        others = {'detector.' + key: value + 1 for key, value in saved[-1].items()}
        paths.append(str(tmp_path / f'{seed}.pth'))
        torch.save(dict(state_dict=(others | weights if meta else weights), meta=meta), paths[-1])
    model = focalmix(teacher=dict(type='EnsembleTeacher', checkpoints=paths), **OFF)
    step(model, make_branches())
    for teacher, weights in zip(model.guessing_models, saved, strict=True):
        torch.testing.assert_close(dict(teacher.state_dict()), weights)
    assert not any(p.requires_grad for p in model.teacher.parameters())
    torch.save(dict(state_dict=dict(nothing=torch.zeros(1))), paths[0])
    model.restart()
    with pytest.raises(ValueError, match=r'1\.pth is not of the detector'):
        step(model, make_branches())
    with pytest.raises(ValueError, match='checkpoints'):
        focalmix(teacher=dict(type='EnsembleTeacher', checkpoints=[]))


def test_the_teacher_is_tested_where_asked_for(focalmix, make_branches, make_batch):
    model = focalmix(teacher=ema(0.5), predict_on='teacher', **OFF)
    step(model, make_branches())
    assert model.tested is model.teacher.model
    with torch.no_grad():
        model.detector.bbox_head.classify.bias += 5
    model.eval().tested.test_cfg['score_thr'] = 0.0
    found = model.test_step(make_batch(1, (16, 16, 16)))[0].pred_instances
    assert found.scores.max() < 0.5  # the student would be surer
    several = dict(type='EnsembleTeacher', checkpoints=['a.pth'])
    for wrong in (
        dict(predict_on='mean'),
        dict(predict_on='teacher'),
        dict(predict_on='teacher', teacher=several),
    ):
        with pytest.raises(ValueError, match='predict_on'):
            focalmix(**wrong)


def test_teachers_of_older_checkpoints_are_read(focalmix, make_branches):
    model, other = (focalmix(teacher=ema(0.5), **OFF) for _ in range(2))
    with torch.no_grad():
        model.teacher.model.bbox_head.classify.bias += 3
    old = {key.replace('teacher.model.', 'teacher.'): v for key, v in model.state_dict().items()}
    other.load_state_dict(old)
    bias = other.teacher.model.bbox_head.classify.bias
    assert torch.equal(bias, model.teacher.model.bbox_head.classify.bias)


# ----------------------------------------------------------------- checkpoints


def test_plain_weights_become_those_of_detector_and_teacher(focalmix, small_detector, tmp_path):
    torch.manual_seed(1)
    plain = MODELS.build(small_detector())
    torch.save(dict(state_dict=plain.state_dict()), tmp_path / 'plain.pth')
    model = focalmix(teacher=ema(0.1))
    load_checkpoint(model, str(tmp_path / 'plain.pth'), strict=True)
    for part in (model.detector, model.teacher.model):
        torch.testing.assert_close(dict(part.state_dict()), dict(plain.state_dict()))

    other = focalmix()
    other.load_state_dict(plain.state_dict())
    model = focalmix(teacher=ema(0.1))
    model.load_state_dict(other.state_dict())  # FocalMix without a teacher
    torch.testing.assert_close(dict(model.teacher.model.state_dict()), dict(plain.state_dict()))
    model.load_state_dict(model.state_dict())

    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'plain.pth'))
    model = focalmix(small_detector(init_cfg=pretrained))
    torch.testing.assert_close(dict(model.detector.state_dict()), dict(plain.state_dict()))


def test_wrong_weights_are_still_refused(focalmix):
    with pytest.raises(RuntimeError, match='detector.no.such.weight'):
        focalmix().load_state_dict({'no.such.weight': torch.zeros(1)})


def test_a_teacher_that_lacks_a_piece_is_told(focalmix):
    model = focalmix(teacher=ema(0.5))
    weights = model.state_dict()
    del weights['teacher.model.bbox_head.classify.bias']
    with pytest.raises(RuntimeError, match='Missing key.*teacher.model.bbox_head.classify.bias'):
        model.load_state_dict(weights)


def test_the_average_is_kept_in_checkpoints(focalmix, make_branches):
    model, other = focalmix(**OFF), focalmix(**OFF)
    step(model, make_branches())
    other.load_state_dict(model.state_dict())
    assert other.unsup.divide_by.mean == model.unsup.divide_by.mean > 0
    old = {key: v for key, v in model.state_dict().items() if not key.startswith('unsup')}
    focalmix(**OFF).load_state_dict(old)  # of before there was an average
    model.restart()
    assert model.unsup.divide_by.mean == 0
