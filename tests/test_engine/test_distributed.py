"""Two processes learn what one process learns from the joined batch."""

import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from mmdet3d_medical.registry import MODELS


def batch_of(make_batch, rank: int) -> dict:
    """Different lesions, and so different numbers of positive anchors, on each process."""
    boxes = [[[3.0, 4, 5, 8, 9, 9]], [[1.0, 1, 1, 4, 4, 4], [6.0, 7, 8, 12, 13, 15]]][rank]
    return make_batch(2, (16, 16, 16), boxes, seed=rank)


def build(cfg: dict) -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return model


def work(rank: int, port: int, cfg: dict, batches: list[dict], results) -> None:
    torch.set_num_threads(1)
    store = f'tcp://127.0.0.1:{port}'
    dist.init_process_group('gloo', init_method=store, rank=rank, world_size=2)
    model = DistributedDataParallel(build(cfg))
    batch = model.module.data_preprocessor(batches[rank])
    sum(model(**batch, mode='loss').values()).backward()
    if rank == 0:
        results.put([p.grad.numpy() for p in model.module.parameters()])
    dist.barrier()
    dist.destroy_process_group()


def test_gradients_of_two_processes(small_detector, make_batch):
    cfg = small_detector()
    batches = [batch_of(make_batch, rank) for rank in range(2)]
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
    context = mp.get_context('spawn')
    results = context.SimpleQueue()
    processes = mp.spawn(
        work, (port, cfg, batches, results), nprocs=2, join=False, daemon=True
    )
    distributed = results.get()
    processes.join()

    model = build(cfg)
    joined = {key: batches[0][key] + batches[1][key] for key in batches[0]}
    sum(model(**model.data_preprocessor(joined), mode='loss').values()).backward()
    for ours, parameter in zip(distributed, model.parameters(), strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), parameter.grad, atol=1e-6, rtol=1e-4)
