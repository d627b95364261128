"""Checkpoints of FocalMix as those of the plain detector, and back."""

import torch

from mmdet3d_medical.registry import MODELS


def save(model, path):
    torch.save(dict(meta=dict(note='kept'), state_dict=model.state_dict()), path)
    return path


def test_there_and_back(run_tool, small_detector, tmp_path):
    cfg = dict(
        type='FocalMixDetector',
        detector=small_detector(),
        teacher=dict(type='EMATeacher', momentum=0.1),
    )
    model, plain = MODELS.build(cfg), MODELS.build(small_detector())
    with torch.no_grad():
        for weight in model.teacher.model.parameters():
            weight += 1
    path, out = save(model, tmp_path / 'focalmix.pth'), tmp_path / 'new' / 'plain.pth'
    for options, part in (((), model.detector), (('--teacher',), model.teacher.model)):
        assert run_tool('model_converters/focalmix_to_plain', path, out, *options) == 0
        checkpoint = torch.load(out)
        assert checkpoint['meta']['note'] == 'kept'
        plain.load_state_dict(checkpoint['state_dict'], strict=True)
        torch.testing.assert_close(dict(plain.state_dict()), dict(part.state_dict()))

    back = tmp_path / 'back.pth'
    assert run_tool('model_converters/focalmix_to_plain', out, back, '--reverse') == 0
    other = MODELS.build(cfg)
    other.load_state_dict(torch.load(back)['state_dict'], strict=True)
    torch.testing.assert_close(dict(other.detector.state_dict()), dict(plain.state_dict()))


def test_the_part_that_was_tested_is_taken_unless_another_is_named(
    run_tool, small_detector, tmp_path, capfd
):
    ema = dict(type='EMATeacher')
    cfg = dict(type='FocalMixDetector', detector=small_detector(), teacher=ema)
    model, path, out = MODELS.build(cfg), tmp_path / 'mean_teacher.pth', tmp_path / 'plain.pth'
    with torch.no_grad():
        for weight in model.teacher.parameters():
            weight += 1
    meta = dict(mmdet3d_medical=dict(tested='teacher'))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)
    for options, part, name in (
        ((), model.teacher.model, 'teacher'),
        (('--student',), model.detector, 'student'),
        (('--teacher',), model.teacher.model, 'teacher'),
    ):
        assert run_tool('model_converters/focalmix_to_plain', path, out, *options) == 0
        torch.testing.assert_close(dict(torch.load(out)['state_dict']), dict(part.state_dict()))
        assert f'tensors of the {name} to' in capfd.readouterr().out


def test_what_cannot_be_converted(run_tool, small_detector, tmp_path, capfd):
    path = save(MODELS.build(small_detector()), tmp_path / 'plain.pth')
    out = tmp_path / 'out.pth'
    tool = 'model_converters/focalmix_to_plain'
    assert run_tool(tool, path, out) == 2
    assert 'has no weights named detector.*' in capfd.readouterr().err
    assert run_tool(tool, tmp_path / 'missing.pth', out) == 2
    assert 'There is no checkpoint' in capfd.readouterr().err
    assert run_tool(tool, path, out, '--teacher', '--reverse') == 2
    assert run_tool(tool, path, out, '--teacher', '--student') == 2
    assert not out.exists()
