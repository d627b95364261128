"""What the segmentation and the report of a series have in common."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import pydicom
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from mmdet3d_medical.inference.findings import Findings, Lesion
from mmdet3d_medical.version import __version__

MAKER = 'mmdet3d_medical'
CHARACTERS = 'ISO_IR 192'  # UTF-8: names of any patient and any model
LONG = 64  # characters that a text of the kinds LO and UT of our tags may have
MAY_BE_EMPTY = (
    *('PatientID', 'PatientName', 'PatientBirthDate', 'PatientSex', 'AccessionNumber'),
    *('StudyID', 'StudyDate', 'StudyTime', 'ReferringPhysicianName'),
)
NEEDED = ('SOPInstanceUID', 'SOPClassUID', 'SeriesInstanceUID', 'StudyInstanceUID')
ABNORMAL = CodedConcept('49755003', 'SCT', 'Morphologically Abnormal Structure')
LESION = CodedConcept('52988006', 'SCT', 'Lesion')
LUNG_NODULE = CodedConcept('786838002', 'SCT', 'Nodule of lung')
NODULES = ('nodule', 'lung nodule', 'pulmonary nodule')


@dataclass(frozen=True)
class Context:
    """Findings, and the headers of the slices that they are of, in order.

    Attributes:
        findings: The findings.
        slices: Headers, without pixels.
    """

    findings: Findings
    slices: list[Dataset]

    @property
    def model(self) -> str:
        """Name of the model, as tags take it."""
        return text(self.findings.model) or 'unnamed'

    @property
    def equipment(self) -> dict:
        """Arguments of highdicom's objects about who made them."""
        return dict(
            manufacturer=MAKER,
            manufacturer_model_name=self.model,
            software_versions=__version__,
            device_serial_number=__version__,  # software has no other, and it may not be empty
            specific_character_set=CHARACTERS,
        )

    @cached_property
    def _content(self) -> str:
        images = [str(image.SOPInstanceUID) for image in self.slices]
        return json.dumps([__version__, images, self.findings.to_dict()], sort_keys=True)

    def uid(self, *purpose: str | int) -> UID:
        """An id for a purpose: the same for the same findings, so none is stored twice."""
        return generate_uid(entropy_srcs=[self._content, *map(str, purpose)])


def read_context(findings: Findings) -> Context:
    """Headers of the series of a scan.

    Raises:
        ValueError: If a slice cannot be read, or has no ids to refer to.
    """
    source, slices = findings.scan.source, []
    for number, path in enumerate(source.slices, start=1):
        try:
            slices.append(pydicom.dcmread(path, stop_before_pixels=True))
        except Exception as error:  # as in headers.read_header: any, with what the header says
            raise ValueError(
                f'{source.name}: slice {number} cannot be read: {type(error).__name__}'
            ) from None
        _complete(slices[-1], source.name, NEEDED)
    if findings.lesions:  # all are in one of them, which a report without findings does not need
        _complete(slices[0], source.name, ('FrameOfReferenceUID',))
    return Context(findings, slices)


def _complete(header: Dataset, name: str, needed: tuple[str, ...]) -> None:
    """Empty what is missing and may be empty; highdicom wants it to be there."""
    missing = [tag for tag in needed if not header.get(tag)]
    if missing:
        raise ValueError(f'{name}: has no {missing[0]}, which DICOM objects that refer to it need')
    for tag in MAY_BE_EMPTY:
        if tag not in header:
            setattr(header, tag, '')
    if header.PatientSex not in ('M', 'F', 'O'):
        header.PatientSex = ''


def text(value: str) -> str:
    r"""A text as tags take it: short, without ``\``, which separates values."""
    return value.replace('\\', '/').strip()[:LONG]


def label(number: int, lesion: Lesion) -> str:
    """What viewers call a finding."""
    return text(f'{lesion.class_name[:48]} {number}')


def code(lesion: Lesion) -> CodedConcept:
    """What a finding is."""
    is_nodule = lesion.class_name.lower().replace('_', ' ') in NODULES
    return LUNG_NODULE if is_nodule else LESION
