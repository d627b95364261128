"""Two processes learn what one process learns from the joined batch."""

import socket
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map_only

from mmdet3d_medical.cli.processes import leave
from mmdet3d_medical.registry import MODELS

SHAPE = (16, 16, 16)


def batch_of(make_batch, rank: int) -> dict:
    """Different lesions, and so different numbers of positive anchors, on each process."""
    boxes = [[[3.0, 4, 5, 8, 9, 9]], [[1.0, 1, 1, 4, 4, 4], [6.0, 7, 8, 12, 13, 15]]][rank]
    return make_batch(2, SHAPE, boxes, seed=rank)


def branches_of(make_batch, rank: int) -> dict:
    """The same as labeled patches, with unlabeled ones."""
    sup, unsup = batch_of(make_batch, rank), make_batch(2, SHAPE, (), seed=2 + rank)
    return {key: dict(sup=sup[key], unsup=unsup[key]) for key in sup}


def build(cfg: dict) -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    model.double()  # float32 rounds as the processor has it
    if hasattr(model, 'unsup'):
        model.unsup.float()  # its divisor counts
    return model


def backward(model: torch.nn.Module, preprocess: torch.nn.Module, batch: dict) -> None:
    data = preprocess(batch)
    data['inputs'] = tree_map_only(torch.Tensor, torch.Tensor.double, data['inputs'])
    sum(model(**data, mode='loss').values()).backward()


def work(rank: int, port: int, cfg: dict, batches: list[dict], gradients: Path) -> None:
    torch.set_num_threads(1)
    store = f'tcp://127.0.0.1:{port}'
    dist.init_process_group('gloo', init_method=store, rank=rank, world_size=2)
    model = DistributedDataParallel(build(cfg))
    backward(model, model.module.data_preprocessor, batches[rank])
    if rank == 0:
        torch.save([p.grad for p in model.module.parameters()], gradients)
    dist.barrier()
    leave()


def check_gradients(cfg: dict, batches: list[dict], joined: dict, folder: Path) -> torch.nn.Module:
    """Compare with one process, whose model is returned."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
    mp.spawn(work, (port, cfg, batches, folder / 'gradients.pth'), nprocs=2, daemon=True)

    model = build(cfg)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in `work`: sums over several threads round otherwise
    backward(model, model.data_preprocessor, joined)
    torch.set_num_threads(threads)
    distributed = torch.load(folder / 'gradients.pth')
    for ours, parameter in zip(distributed, model.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, atol=1e-6, rtol=1e-4)
    return model


def test_gradients_of_two_processes(small_detector, make_batch, tmp_path):
    batches = [batch_of(make_batch, rank) for rank in range(2)]
    joined = {key: batches[0][key] + batches[1][key] for key in batches[0]}
    check_gradients(small_detector(), batches, joined, tmp_path)


def test_focalmix_gradients_of_two_processes(small_detector, make_batch, tmp_path):
    """Without MixUp, whose partners are of one process, and with all views that there are."""
    detector = small_detector()
    # Guesses about 0.5, so that there are unlabeled positives, of which few are close to it.
    detector['bbox_head']['init_cfg'] = dict(type='Normal', layer='Conv3d', std=0.3)
    cfg = dict(
        type='FocalMixDetector',
        detector=detector,
        unsup=dict(weight=0.5),
        mixers={},
        targets=dict(type='AnchorTargets', views=dict(num=2, flip_axes=(2,), permute_axes=())),
    )
    batches = [branches_of(make_batch, rank) for rank in range(2)]
    joined = {
        key: {name: batches[0][key][name] + batches[1][key][name] for name in ('sup', 'unsup')}
        for key in batches[0]
    }
    guess = check_gradients(cfg, batches, joined, tmp_path).last_guess.cls
    first, second = ((part >= 0.5).sum() for part in guess.split(2))
    assert first > 0 and second > 0 and first != second
