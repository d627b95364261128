"""A DICOM segmentation with a segment for each finding."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from pydicom.sr.codedict import codes

from mmdet3d_medical.inference.findings import Findings
from mmdet3d_medical.version import __version__

from .dicom_context import ABNORMAL, Context, code, label
from .nifti import box_voxels, label_map

SERIES_NUMBER = 9001  # far from those of a scanner


def make_seg(context: Context) -> hd.seg.Segmentation:
    """The segmentation; frames without a finding are left out.

    Raises:
        ValueError: For headers that highdicom refuses.
    """
    pixels = segment_pixels(context.findings)
    inside = pixels.reshape(len(pixels), -1).any(axis=1)
    marked = [image for image, used in zip(context.slices, inside, strict=True) if used]
    others = [image for image, used in zip(context.slices, inside, strict=True) if not used]
    seg = hd.seg.Segmentation(
        source_images=marked,
        pixel_array=pixels[inside],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=_segments(context),
        series_instance_uid=context.uid('seg series'),
        series_number=SERIES_NUMBER,
        sop_instance_uid=context.uid('seg'),
        instance_number=1,
        series_description='Detected lesions',
        content_label='LESIONS',
        content_description='Boxes around detected lesions',
        further_source_images=others or None,
        **context.equipment,
    )
    _fix_dimension_uid(seg, context.uid('dimensions'))
    return seg


def segment_pixels(findings: Findings) -> np.ndarray:
    """Label map (D, H, W), or a mask for each finding, (D, H, W, N), where boxes overlap.

    A label map takes a fraction of the memory, but a voxel has one label only.
    """
    labels, boxes = label_map(findings), box_voxels(findings)
    if all((labels[box] == number).all() for number, box in enumerate(boxes, start=1)):
        return labels
    masks = np.zeros((*labels.shape, len(boxes)), np.uint8)
    for number, box in enumerate(boxes):
        masks[(*box, number)] = 1
    return masks


def _segments(context: Context) -> list[hd.seg.SegmentDescription]:
    algorithm = hd.AlgorithmIdentificationSequence(
        context.model, codes.DCM.ArtificialIntelligence, __version__
    )
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label(number, lesion),
            segmented_property_category=ABNORMAL,
            segmented_property_type=code(lesion),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=context.uid('lesion', number),
            tracking_id=label(number, lesion),
        )
        for number, lesion in enumerate(context.findings.lesions, start=1)
    ]


def _fix_dimension_uid(seg: hd.seg.Segmentation, uid: str) -> None:
    """Replace the only id that highdicom draws by chance."""
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
