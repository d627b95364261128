"""A trained detector, ready for scans."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from torch import nn

from mmdet3d_medical.datasets.converters.dicom.source import DicomSource
from mmdet3d_medical.datasets.converters.image_io import NO_AIR_HU, crop, resample
from mmdet3d_medical.datasets.converters.lungs import lung_box
from mmdet3d_medical.deploy import Network, Runtime, choose_backend, is_faster, make_runtime
from mmdet3d_medical.packing import ModelFolder, read_model
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.errors import UsageError

from .findings import Findings, make_findings
from .scans import Scan, find_scans, scan_in_memory, thickness_notes

SCOPE = 'mmdet3d_medical'
TRIED_STRIDES = 6  # sides of the patch that backends are timed on


class LesionInferencer(BaseInferencer):
    """Finds lesions in scans: ``LesionInferencer('luna16-nodules')('scan.nii.gz')``.

    Spacing, cropping, windowing and threshold come from the model. Positions are those of the scan
    as it came. The model stays loaded.

    Args:
        model: Name of a shipped model, or a model folder, see :mod:`mmdet3d_medical.packing`.
        device: ``'cpu'``, ``'cuda'`` and the like; by default a GPU where there is one.
        backend: What computes the network: ``'torch'``, ``'onnxruntime'`` or ``'openvino'``;
            ``'auto'`` takes torch, or one that is installed where it is faster. All find the same,
            scores and millimeters to 1e-3.

    Attributes:
        backend: What computes the network.

    Raises:
        UsageError: If there is no such model, its weights are damaged, or the backend unknown, not
            installed, or unable to compute the network.
    """

    preprocess_kwargs: set = set()
    forward_kwargs: set = set()
    visualize_kwargs: set = set()
    postprocess_kwargs: set = set()

    def __init__(self, model: str | Path, device: str | None = None, backend: str = 'auto') -> None:
        register_all_modules(init_default_scope=False)  # the program around it has its own
        self.folder: ModelFolder = read_model(model)
        self.facts = self.folder.facts
        config = Config(dict(model=self.facts.config))
        super().__init__(config, device=device, scope=SCOPE, show_progress=False)
        self.backend = self._use(backend)

    def __call__(
        self,
        inputs: Any,
        *,
        score_thr: float | None = None,
        fp_per_scan: float | None = None,
    ) -> list[Findings]:
        """Findings of scans.

        Args:
            inputs: One or a list of: path of a volume in a format of SimpleITK, of a folder or zip
                archive of DICOM files, or of a folder of these; ``SimpleITK.Image``; (array (D,
                H, W) in HU, :class:`~mmdet3d_medical.structures.VolumeGeometry`).
            score_thr: Lowest score; by default the model's threshold.
            fp_per_scan: Take the score that had so many false positives in a scan when the model
                was measured.

        Returns:
            One for each scan.

        Raises:
            ValueError: If a scan cannot be read, naming it.
        """
        threshold = self.facts.threshold_of(score_thr, fp_per_scan)
        found = []
        for scan in self._scans(inputs):
            found.append(self.detect(scan, threshold))
            scan.forget()
        return found

    def detect(
        self,
        scan: Scan,
        threshold: float | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Findings:
        """Findings of one scan, whose voxels stay in memory.

        Args:
            scan: The scan.
            threshold: Lowest score; by default the model's.
            progress: Called with the tiles done and all tiles, as the network goes through them.

        Raises:
            ValueError: If it cannot be read, or is no CT in HU.
        """
        threshold = self.facts.threshold if threshold is None else threshold
        volume, grid, notes = self.prepare(scan)
        sample = DetDataSample(metainfo=dict(scan_id=scan.scan_id, geometry=grid))
        data = dict(inputs=[torch.from_numpy(volume)[None]], data_samples=[sample])
        self.model.progress = progress
        try:
            with torch.inference_mode():
                found = self.model.test_step(data)[0].pred_instances.cpu()
        finally:
            self.model.progress = None
        most = getattr(self.model, 'test_cfg', {}).get('max_per_scan', math.inf)
        notes += _full_notes(found.scores.tolist(), most, threshold)
        return make_findings(
            scan,
            grid,
            found.bboxes.numpy(),
            found.scores.tolist(),
            found.labels.tolist(),
            self.facts.classes,
            self.facts.name,
            threshold,
            [*scan.notes, *notes],
        )

    def prepare(self, scan: Scan) -> tuple[np.ndarray, VolumeGeometry, list[str]]:
        """The volume (D, H, W) in HU that the network sees, where it lies, and notes.

        Raises:
            ValueError: As :meth:`detect`.
        """
        image = scan.image
        known = isinstance(scan.source, DicomSource)  # the thickness of slices, which may overlap
        notes = scan.file_notes()
        notes += [] if known else thickness_notes(max(image.GetSpacing()))
        lowest = int(sitk.GetArrayViewFromImage(image).min())
        if lowest > NO_AIR_HU:
            raise ValueError(
                f'{scan.source.name}: its lowest value is {lowest}, a CT in HU has air, about '
                '-1000: is it another image, or stored in another unit?'
            )
        if self.facts.crop == 'lungs':
            box = lung_box(image, None, self.facts.margin)
            if box is None:
                notes.append('no lungs were found: all of the scan was searched')
            else:
                image = crop(image, box[:3], box[3:])
        if self.facts.spacing is not None:
            image = resample(image, self.facts.spacing)
        return sitk.GetArrayFromImage(image), VolumeGeometry.from_sitk(image), notes

    def _scans(self, inputs: Any) -> Iterator[Scan]:
        paths = (str, Path)
        single = isinstance(inputs, (*paths, sitk.Image, tuple))
        for number, item in enumerate([inputs] if single else inputs):
            if not isinstance(item, paths):
                yield scan_in_memory(item, f'scan_{number}')
                continue
            with tempfile.TemporaryDirectory() as scratch:
                found = find_scans([item], scratch)
                for message in found.refused.values():
                    raise ValueError(message)
                yield from found.scans

    def _init_model(self, cfg: Config, weights: None, device: str = 'cpu') -> nn.Module:
        model = MODELS.build(cfg.model)
        try:
            model.load_state_dict(self.folder.weights())
        except RuntimeError as error:
            raise UsageError(
                f'{self.folder.path}: the weights do not fit the config in model.json: '
                f'{str(error).splitlines()[-1].strip()}'
            ) from None
        try:
            return model.to(device).eval()
        except (RuntimeError, AssertionError) as error:  # torch without CUDA, a misspelled name
            reason = str(error).splitlines()[0]
            raise UsageError(f'the device {device!r} cannot be used: {reason}') from None

    def _use(self, backend: str) -> str:
        """Have a backend compute the network; its name."""
        chosen = choose_backend(backend, next(self.model.parameters()).device)
        if chosen == 'torch':
            return chosen
        network = Network(self.facts.config, self.folder.weights())
        try:
            runtime = make_runtime(chosen, network)
        except UsageError:
            if backend != 'auto':
                raise
            return 'torch'
        if backend == 'auto' and not self._gains_by(runtime, network):
            return 'torch'
        self.model.runtime = runtime
        return chosen

    @torch.inference_mode()
    def _gains_by(self, runtime: Runtime, network: Network) -> bool:
        return is_faster(runtime, self.model.outputs_of_tiles, network.example(1, TRIED_STRIDES))

    def _init_collate(self, cfg: Config) -> None:
        """Scans are not collated: they differ in size."""

    def _init_pipeline(self, cfg: Config) -> None:
        """Scans are read by :class:`.Scan`."""

    def visualize(self, inputs: Any, preds: Sequence[Findings], **kwargs) -> None:
        """Nothing: :meth:`.Findings.save` writes pictures."""

    def postprocess(self, preds: list, visualization: Any, return_datasample=False) -> list:
        """The findings as they are."""
        return preds


def _full_notes(scores: Sequence[float], most: float, threshold: float) -> list[str]:
    """A note where a detector keeps so few boxes that some above the threshold may be lost."""
    if len(scores) < most or min(scores) <= threshold:
        return []
    return [
        f'{len(scores)} findings, the most that the model keeps: there may be more below a score '
        f'of {min(scores):.2g}'
    ]
