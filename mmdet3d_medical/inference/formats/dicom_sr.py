"""A DICOM structured report (TID 1500) with a group of measurements for each finding."""

from __future__ import annotations

import highdicom as hd
from highdicom import sr
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mmdet3d_medical.inference.findings import Lesion
from mmdet3d_medical.version import __version__

from .dicom_context import ABNORMAL, LESION, MAKER, Context, code, label
from .dicom_seg import SERIES_NUMBER as SERIES_NUMBER_OF_SEG

SERIES_NUMBER = SERIES_NUMBER_OF_SEG + 1
# There is no standard code; highdicom refuses coordinates in such a group.
CENTER = tuple(
    sr.CodedConcept(f'center-{axis}', '99MMDET3D', f'Center, patient {axis} (LPS)')
    for axis in 'xyz'
)
CT = sr.CodedConcept('25045-6', 'LN', 'CT unspecified body region')


def make_sr(context: Context, seg: hd.seg.Segmentation | None) -> sr.Comprehensive3DSR:
    """The report.

    Args:
        context: Findings and headers.
        seg: Their segmentation, ``None`` if there are no findings.

    Raises:
        ValueError: For headers that highdicom refuses.
    """
    groups = [
        _group(context, seg, number, lesion)
        for number, lesion in enumerate(context.findings.lesions, start=1)
    ]
    content = sr.MeasurementReport(
        observation_context=_observer(context),
        procedure_reported=CT,
        imaging_measurements=groups or [_nothing_found(context)],
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            sr.CodedConcept('en-US', 'RFC5646', 'English (United States)')
        ),
    )
    return sr.Comprehensive3DSR(
        evidence=[*context.slices, *([] if seg is None else [seg])],
        content=content[0],
        series_instance_uid=context.uid('sr series'),
        series_number=SERIES_NUMBER,
        sop_instance_uid=context.uid('sr'),
        instance_number=1,
        series_description='Detected lesions',
        is_complete=True,
        **context.equipment,
    )


def _observer(context: Context) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        context.uid('device'),
        name=context.model,
        manufacturer_name=MAKER,
        model_name=context.model,
        serial_number=__version__,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(codes.DCM.Device, device)
    )


def _algorithm(context: Context) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        context.model,
        __version__,
        parameters=[f'lowest score {context.findings.threshold:g}'],
        family=codes.DCM.ArtificialIntelligence,
        manufacturer=MAKER,
    )


def _group(
    context: Context, seg: hd.seg.Segmentation, number: int, lesion: Lesion
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """A finding: its segment, how large it is, how sure, and where."""
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(context.uid('lesion', number), label(number, lesion)),
        referenced_segment=sr.ReferencedSegment.from_segmentation(seg, number),
        finding_type=code(lesion),
        finding_category=ABNORMAL,
        algorithm_id=_algorithm(context),
        measurements=[
            _measure(codes.SCT.Diameter, lesion.diameter_mm, codes.UCUM.Millimeter),
            _measure(codes.DCM.CertaintyOfFinding, 100 * lesion.score, codes.UCUM.Percent),
            *(
                _measure(name, value, codes.UCUM.Millimeter)
                for name, value in zip(CENTER, lesion.center_mm, strict=True)
            ),
        ],
    )


def _measure(name: sr.CodedConcept | Code, value: float, unit: Code) -> sr.Measurement:
    return sr.Measurement(name, round(value, 4), unit)  # a decimal string has 16 characters


def _nothing_found(context: Context) -> sr.MeasurementsAndQualitativeEvaluations:
    """That there are no lesions, as a report has to have a group."""
    return sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(context.uid('no lesion'), 'no lesion'),
        algorithm_id=_algorithm(context),
        qualitative_evaluations=[sr.QualitativeEvaluation(LESION, codes.SCT.Absent)],
        source_images=None,
    )
