"""The pages: a template, the findings as JSON, the scan as an image in base64."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from mmdet3d_medical.datasets.converters.image_io import resample
from mmdet3d_medical.inference.findings import Findings
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.visualization.window import to_gray

from .pictures import place_picture
from .viewer import HOW, script

FINEST_MM = 1.5  # of the volume in the viewer; findings are shown at full resolution beside it
FOLDER = Path(__file__).parent
LICENSE = FOLDER / 'niivue.LICENSE.txt'  # asks to stand wherever the viewer does


def scan_page(findings: Findings) -> str:
    """The report of a scan, to be looked at and reviewed.

    Raises:
        ValueError: If the findings do not come with their scan.
    """
    if findings.scan is None:
        raise ValueError(
            f'scan {findings.scan_id}: findings that were read from a file have no voxels to show'
        )
    image = findings.scan.image
    geometry = VolumeGeometry.from_sitk(image)
    code = script()
    data = dict(
        scan_id=findings.scan_id,
        model=findings.model,
        threshold=findings.threshold,
        notes=list(findings.notes),
        class_name=findings.classes[0] if findings.classes else 'lesion',  # of what is added
        findings=_rows(findings, image, geometry),
        viewer=None if code is None else _viewer_data(image),
    )
    return _fill('scan.html', title=findings.scan_id, data=data, code=code)


def _rows(findings: Findings, image: sitk.Image, geometry: VolumeGeometry) -> list[dict]:
    volume, boxes = sitk.GetArrayViewFromImage(image), findings.boxes(geometry)
    kinds = [('finding', box) for box in boxes]
    return [
        dict(
            center=[round(value, 4) for value in lesion.center_mm],
            size=[round(value, 4) for value in lesion.size_mm],
            score=lesion.score,
            class_name=lesion.class_name,
            picture=place_picture(volume, geometry.spacing_zyx, _middle(box), kinds),
        )
        for lesion, box in zip(findings.lesions, boxes, strict=True)
    ]


def _middle(box: np.ndarray) -> np.ndarray:
    return (box[:3] + box[3:]) / 2


def _viewer_data(image: sitk.Image) -> dict:
    """The scan in 8 bits, an empty overlay on its grid, and that grid."""
    coarse = resample(image, np.maximum(np.array(image.GetSpacing()[::-1]), FINEST_MM))
    geometry = VolumeGeometry.from_sitk(coarse)
    gray = sitk.GetImageFromArray(to_gray(sitk.GetArrayViewFromImage(coarse)))
    gray.CopyInformation(coarse)
    return dict(
        volume=_nifti(gray),
        overlay=_nifti(gray * 0),
        origin=geometry.origin,
        spacing=geometry.spacing,
        direction=geometry.direction,
        shape=geometry.shape[::-1],
    )


def _nifti(image: sitk.Image) -> str:
    """A compressed NIfTI file in base64, the only image that a page from a disk may load."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'image.nii.gz')
        sitk.WriteImage(image, str(path), True)
        return base64.b64encode(path.read_bytes()).decode()


def evaluation_page(
    title: str, summary: Mapping[str, str], curve: str, groups: Mapping[str, Sequence[dict]]
) -> str:
    """The report of an evaluation.

    Args:
        title: Heading.
        summary: Numbers by name, as text.
        curve: The FROC curve, a data URL.
        groups: By heading ('Missed lesions'), entries with ``picture`` (a data URL) and ``text``.
    """
    data = dict(title=title, summary=dict(summary), curve=curve, groups=dict(groups))
    return _fill('evaluation.html', title=title, data=data, code=None)


def _fill(template: str, title: str, data: Any, code: str | None) -> str:
    """A template with styles, data and code in it, so that it is one file."""
    page = (FOLDER / template).read_text(encoding='utf-8')
    script = FOLDER / template.replace('.html', '.js')
    parts = {
        'TITLE': escape(title),
        'STYLE': (FOLDER / 'report.css').read_text(encoding='utf-8'),
        'HOW': escape(HOW),
        'DATA': _in_script(json.dumps(data)),
        'SCRIPT': _in_script(script.read_text(encoding='utf-8')),
        'VIEWER': _in_script(f'/*\n{LICENSE.read_text()}*/\n{code}' if code else ''),
    }
    return re.sub(r'\[\[(\w+)\]\]', lambda match: parts[match[1]], page)


def _in_script(text: str) -> str:
    """Text that does not end the element it stands in."""
    return text.replace('</', '<\\/').replace('<!--', '<\\!--')
