"""Says in checkpoints, as plain data, what their weights are for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdet3d_medical.datasets import VolumeDetDataset, open_index
from mmdet3d_medical.registry import HOOKS
from mmdet3d_medical.version import __version__

KEY = 'mmdet3d_medical'
FROM_INDEX = ('spacing', 'settings')


@HOOKS.register_module()
class PlainMetaHook(Hook):
    """Writes ``meta['mmdet3d_medical']`` into checkpoints, which is read without running anything.

    It is a dict with ``version`` of this package, ``model`` (type of the model), ``tested`` (of
    ``FocalMixDetector``: 'student' or 'teacher'), ``classes``, and
    where the index of the training data says so, ``spacing`` (mm: z, y, x; that of all scans, None
    if they differ) and ``settings`` (how scans were converted and cut).
    """

    def before_train(self, runner: Runner) -> None:
        """Look at the model and the data once."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.meta = dict(
            version=__version__,
            model=type(model).__name__,
            **(dict(tested=model.predict_on) if hasattr(model, 'predict_on') else {}),
            **_of_data(runner.train_dataloader.dataset),
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add it to a checkpoint."""
        checkpoint['meta'][KEY] = self.meta


def _of_data(dataset: Any) -> dict[str, Any]:
    first = next(parts_of(dataset))
    classes = list((getattr(first, 'metainfo', None) or {}).get('classes') or ())
    index = open_index(first.ann_file) if isinstance(first, VolumeDetDataset) else {}
    facts = dict(classes=classes) | {key: index[key] for key in FROM_INDEX if key in index}
    if index and not facts.get('spacing'):
        facts['spacing'] = _common_spacing(index['scans'])
    return facts


def _common_spacing(scans: Sequence[dict]) -> list[float] | None:
    """Spacing (z, y, x) of scans that kept their own, if it is the same in all."""
    found = np.array([scan['geometry']['spacing'][::-1] for scan in scans])
    same = len(found) and np.allclose(found, found[0], rtol=1e-3)
    return found[0].tolist() if same else None


def parts_of(dataset: Any) -> Iterator[Any]:
    """The data sets in a data set: those in a wrapper or a list of sources, else itself."""
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from parts_of(part)
    elif hasattr(dataset, 'dataset'):
        yield from parts_of(dataset.dataset)
    else:
        yield dataset
