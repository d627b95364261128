"""Runtimes that compute a network in the place of torch.

A runtime is called with patches (B, C, D, H, W), and gives logits (B, N, C) and deltas (B, N, R).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from torch import Tensor

from mmdet3d_medical.utils.errors import UsageError

from .export import Network, onnx_bytes


class Runtime(Protocol):
    """Computes the network of a detector."""

    def __call__(self, patches: Tensor) -> tuple[Tensor, Tensor]: ...


class OpenVINORuntime:
    """Intel's OpenVINO, on as many threads as torch has.

    Compiled for each shape of patches that comes, 0.3 s: a sixth faster than for all shapes. Those
    of the last two are kept, tiles of a scan have one or two.

    Args:
        content: A network in ONNX.
    """

    def __init__(self, content: bytes) -> None:
        import openvino

        self._core = openvino.Core()
        self._content = content
        self._compiled: dict[tuple[int, ...], Any] = {}

    def _compiled_for(self, shape: tuple[int, ...]) -> Any:
        if shape not in self._compiled:
            for oldest in [*self._compiled][:-1]:
                del self._compiled[oldest]
            self._compiled[shape] = self._compile(shape)
        return self._compiled[shape]

    def _compile(self, shape: tuple[int, ...]) -> Any:
        model = self._core.read_model(self._content)
        model.reshape(list(shape))
        settings = dict(
            INFERENCE_NUM_THREADS=torch.get_num_threads(),
            INFERENCE_PRECISION_HINT='f32',  # else bfloat16 where a processor has it
        )
        return self._core.compile_model(model, 'CPU', settings)

    def __call__(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        found = self._compiled_for(tuple(patches.shape))(patches.contiguous().numpy())
        logits, deltas = (torch.from_numpy(found[number]) for number in (0, 1))
        return logits, deltas


class ONNXRuntime:
    """Microsoft's ONNX Runtime, on as many threads as torch has.

    Args:
        content: A network in ONNX.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(
            content, options, providers=['CPUExecutionProvider']
        )
        self._input = self._session.get_inputs()[0].name

    def __call__(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = self._session.run(None, {self._input: patches.contiguous().numpy()})
        return torch.from_numpy(logits), torch.from_numpy(deltas)


RUNTIMES = dict(openvino=OpenVINORuntime, onnxruntime=ONNXRuntime)  # the fastest first
BACKENDS = ('auto', 'torch', *RUNTIMES)


def choose_backend(backend: str, device: torch.device) -> str:
    """The backend to try: for ``'auto'`` the first of ``RUNTIMES`` that is installed.

    Raises:
        UsageError: If there is no such backend, it is not installed, or not for this device.
    """
    if backend not in BACKENDS:
        raise UsageError(f'backend must be one of {", ".join(BACKENDS)}, found {backend!r}')
    if backend == 'auto':
        installed = [name for name in RUNTIMES if find_spec(name)]
        return installed[0] if installed and device.type == 'cpu' else 'torch'
    if backend in RUNTIMES and device.type != 'cpu':
        raise UsageError(
            f'--backend {backend} computes on the CPU, but the device is {device.type}: '
            'take --backend torch or --device cpu'
        )
    if backend in RUNTIMES and not find_spec(backend):
        raise UsageError(
            f'--backend {backend} is not installed: pip install "mmdet3d_medical[{backend}]"'
        )
    return backend


def make_runtime(backend: str, network: Network) -> Runtime:
    """A runtime of the network, found to compute what torch computes.

    Raises:
        UsageError: If it does not.
    """
    runtime = RUNTIMES[backend](onnx_bytes(network))
    check_runtime(runtime, network, backend)
    return runtime


def is_faster(runtime: Runtime, torch_network: Runtime, patches: Tensor) -> bool:
    """Whether a runtime takes less than 0.9 of torch's time, as measured here and now."""
    both = runtime, torch_network
    times = [[_seconds(network, patches) for network in both] for _ in range(3)]
    fast, usual = (min(column) for column in zip(*times[1:], strict=True))  # the first warms up
    return fast < 0.9 * usual


def _seconds(network: Callable, patches: Tensor) -> float:
    start = time.perf_counter()
    network(patches)
    return time.perf_counter() - start


def check_runtime(runtime: Runtime, network: Network, name: str) -> None:
    """Compare a runtime with torch on patches of another number and size than it was made with.

    Raises:
        UsageError: If it fails or its outputs are others.
    """
    patches = network.example(1, 3)
    expected = network(patches)
    try:
        found = runtime(patches)
        same = all(_close(one, other) for one, other in zip(found, expected, strict=True))
    except Exception as error:  # each runtime has its own
        raise UsageError(
            f'{name} cannot compute this network for patches of several sizes: '
            f'{str(error).strip().splitlines()[0]}'
        ) from error
    if not same:
        raise UsageError(f'{name} computes other outputs than torch for this network')


def _close(found: Tensor, expected: Tensor) -> bool:
    """Whether outputs are the same but for rounding."""
    if found.shape != expected.shape:
        return False
    scale = float(expected.abs().max()) if expected.numel() else 1.0
    return torch.allclose(found, expected, rtol=0, atol=1e-3 * max(scale, 1.0))
