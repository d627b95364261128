"""Batches in branches: labeled and unlabeled patches side by side."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.model import BaseDataPreprocessor
from torch import nn

from mmdet3d_medical.registry import MODELS


@MODELS.register_module()
class BranchDataPreprocessor(BaseDataPreprocessor):
    """Preprocess each branch of a batch; an ordinary batch is preprocessed as it is.

    Takes what mmdet's ``MultiBranch`` makes and gives what its ``MultiBranchDataPreprocessor``
    gives. Unlike that one it works around a module that exists already, leaves the batch itself
    alone, and accepts ordinary batches in training and branches without a sample, which are left
    out.

    Args:
        data_preprocessor: For each branch, a module or its config.
    """

    def __init__(self, data_preprocessor: nn.Module | dict):
        super().__init__()
        built = isinstance(data_preprocessor, nn.Module)
        self.data_preprocessor = data_preprocessor if built else MODELS.build(data_preprocessor)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess a batch.

        Args:
            data: ``inputs`` and ``data_samples``, each a list, or a dict from the name of a branch
                to a list with None where a sample is of another branch.
            training: Passed on.

        Returns:
            The same keys, with a dict from branches to batches for a dict.
        """
        if not isinstance(data['inputs'], Mapping):
            return self.data_preprocessor(data, training)
        branches = {}
        for name in data['inputs']:
            part = {key: [item for item in data[key][name] if item is not None] for key in data}
            if part['inputs']:
                branches[name] = self.data_preprocessor(part, training)
        return {key: {name: part[key] for name, part in branches.items()} for key in data}
