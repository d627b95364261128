"""Time and memory of calls, on a CPU or a GPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from itertools import accumulate
from operator import methodcaller

import torch
from torch.profiler import ProfilerActivity, profile


def measure(
    calls: Mapping[str, Callable], repeat: int, on_gpu: bool, warm_up: int = 1
) -> dict[str, dict[str, float]]:
    """Median ``seconds`` and ``peak_mb`` of each call; they take turns.

    Args:
        calls: Functions without arguments, by name.
        repeat: How often each is timed.
        on_gpu: Whether they compute on a GPU, which is waited for.
        warm_up: Calls before: the first ones choose algorithms, and what is kept from the first on
            is no call's peak.
    """
    seconds, peak_mb = (gpu_seconds, gpu_peak_mb) if on_gpu else (cpu_seconds, cpu_peak_mb)
    for _ in range(warm_up):
        for call in calls.values():
            call()
    turns = [[seconds(call) for call in calls.values()] for _ in range(repeat)]
    return {
        name: dict(seconds=statistics.median(times), peak_mb=peak_mb(calls[name]))
        for name, times in zip(calls, zip(*turns, strict=True), strict=True)
    }


def cpu_seconds(function: Callable) -> float:
    """Of this process."""
    start = time.process_time()
    function()
    return time.process_time() - start


def cpu_peak_mb(function: Callable) -> float:
    """10^6 bytes, from the requests for memory that PyTorch's profiler records."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    events = profiler.profiler.kineto_results.events()
    requests = [event for event in events if event.name() == '[memory]']  # and returns
    requests.sort(key=methodcaller('start_ns'))
    return max(accumulate(event.nbytes() for event in requests), default=0) / 1e6


def gpu_seconds(function: Callable) -> float:
    """Until the device is done."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def gpu_peak_mb(function: Callable) -> float:
    """10^6 bytes of tensors beyond those of before."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    return (torch.cuda.max_memory_allocated() - before) / 1e6
