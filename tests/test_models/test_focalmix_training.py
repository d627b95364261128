"""FocalMix in mixed precision and with accumulated gradients."""

import copy

import pytest
import torch

from mmdet3d_medical.registry import OPTIM_WRAPPERS


def wrapper_of(model, wrapper='OptimWrapper', **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return OPTIM_WRAPPERS.build(dict(type=wrapper, optimizer=optimizer, **kwargs))


def train(model, batch, wrapper) -> dict:
    """One step of the training loop on a copy of the batch, whose samples it changes."""
    return model.train_step(copy.deepcopy(batch), wrapper)


def flat_weights(model) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.detector.parameters()])


def test_bfloat16_is_close_to_float32(focalmix, make_branches):
    # On 16^3 patches the coarsest map is 2^3, for which torch 2.13's bfloat16 convolution of CPUs
    # without avx512_bf16 now and then leaves memory it never wrote in the weights' gradient.
    batch, results = make_branches(shape=(32, 32, 32)), []
    for name in ('OptimWrapper', 'BFloat16OptimWrapper'):
        model, dtypes = focalmix(teacher=dict(type='EMATeacher', momentum=0.1)), set()
        classify = model.detector.bbox_head.classify
        classify.register_forward_hook(lambda *args, seen=dtypes: seen.add(args[2].dtype))
        start = flat_weights(model)
        losses = train(model, batch, wrapper_of(model, name))
        change = flat_weights(model) - start
        assert model.last_guess.cls.dtype == torch.float32
        results.append((dtypes, {key: loss.item() for key, loss in losses.items()}, change))
    (full, losses, change), (half, half_losses, half_change) = results
    assert full == {torch.float32} and half == {torch.bfloat16}
    assert half_losses == pytest.approx(losses, rel=0.02, abs=1e-3)
    assert torch.isfinite(half_change).all() and change.norm() > 0
    assert (half_change - change).norm() < 0.1 * change.norm()


def test_two_accumulated_steps_are_one_with_the_mean_gradient(focalmix, make_branches):
    """Views and MixUps of the second are other ones, those of step 1."""
    batches = make_branches(2, 2), make_branches(2, 1)
    model, still = focalmix(), focalmix()
    start, gradients = flat_weights(model), []
    for batch in batches:
        still.zero_grad()
        losses = still(**still.data_preprocessor(copy.deepcopy(batch), True), mode='loss')
        sum(losses.values()).backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in still.parameters()]))
    wrapper = wrapper_of(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    train(model, batches[0], wrapper)
    assert torch.equal(flat_weights(model), start)
    train(model, batches[1], wrapper)
    expected = start - (gradients[0] + gradients[1]) / 2
    torch.testing.assert_close(flat_weights(model), expected, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(gradients[0], gradients[1], rtol=0.1)


def test_recomputing_activations_changes_no_step(focalmix, small_detector, make_branches, watch):
    batch, results = make_branches(), []
    for on in (False, True):
        cfg = small_detector(recompute_activations=on)
        cfg['bbox_head'].update(norm_cfg=dict(type='GN', num_groups=2))
        model = focalmix(cfg)
        wrapper, alive = wrapper_of(model), watch(*model.detector.bbox_head.cls_branch)
        losses = model(**model.data_preprocessor(copy.deepcopy(batch), True), mode='loss')
        assert any(alive()) != on
        wrapper.update_params(sum(losses.values()))
        results.append(flat_weights(model))
    assert torch.equal(*results)
