"""Networks outside torch: files of them, and runtimes that compute them."""

from .export import Network, onnx_bytes, torch_program
from .files import KINDS, save_network
from .runtimes import (
    BACKENDS,
    RUNTIMES,
    ONNXRuntime,
    OpenVINORuntime,
    Runtime,
    check_runtime,
    choose_backend,
    is_faster,
    make_runtime,
)

__all__ = [
    'BACKENDS',
    'KINDS',
    'RUNTIMES',
    'Network',
    'ONNXRuntime',
    'OpenVINORuntime',
    'Runtime',
    'check_runtime',
    'choose_backend',
    'is_faster',
    'make_runtime',
    'onnx_bytes',
    'save_network',
    'torch_program',
]
