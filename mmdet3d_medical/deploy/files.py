"""Networks as files for other programs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import replacing, write_bytes

from .export import Network, onnx_bytes, torch_program
from .runtimes import RUNTIMES, check_runtime


def save_network(network: Network, kind: str, path: Path) -> list[Path]:
    """Write the network, once it was found to compute what torch computes.

    ONNX can only be tried with a runtime that is installed.

    Args:
        network: The network.
        kind: One of ``KINDS``.
        path: File to write; OpenVINO keeps weights in another one beside it, ``.bin``.

    Returns:
        The files.

    Raises:
        UsageError: If a package is missing, or the outputs are others.
    """
    return KINDS[kind](network, path)


def _save_onnx(network: Network, path: Path) -> list[Path]:
    content = onnx_bytes(network)
    for name in [name for name in RUNTIMES if find_spec(name)][:1]:
        check_runtime(RUNTIMES[name](content), network, name)
    write_bytes(path, content)
    return [path]


def _save_openvino(network: Network, path: Path) -> list[Path]:
    if not find_spec('openvino'):
        raise UsageError('openvino is not installed: pip install "mmdet3d_medical[openvino]"')
    import openvino

    content = onnx_bytes(network)
    check_runtime(RUNTIMES['openvino'](content), network, 'openvino')
    model = openvino.Core().read_model(content)
    openvino.save_model(model, path, compress_to_fp16=False)
    return [path, path.with_suffix('.bin')]


def _save_torch(network: Network, path: Path) -> list[Path]:
    try:
        program = torch_program(network)
        module = program.module()
    except Exception as error:  # its exporter raises what it comes upon
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f'torch.export cannot export this network: {reason}') from error
    check_runtime(module, network, 'torch.export')
    with replacing(path) as file:
        torch.export.save(program, file)
    return [path]


KINDS = dict(onnx=_save_onnx, openvino=_save_openvino, torch=_save_torch)
