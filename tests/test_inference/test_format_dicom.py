"""Segmentation and report of a DICOM series."""

import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from mmdet3d_medical.datasets.converters.dicom.headers import silence
from mmdet3d_medical.inference.formats import dicom
from mmdet3d_medical.inference.scans import scan_in_memory

from ..test_datasets.dicom_series import PATIENT, write_series
from .ct_series import (
    BOXES,
    DOWNWARD,
    FRAME,
    NAME,
    SCORES,
    SERIES,
    SHAPE,
    STRAIGHT,
    STUDY,
    TURNED,
    find,
    read_scan,
    write_ct,
)

highdicom = pytest.importorskip('highdicom')


@pytest.fixture
def scan(tmp_path):
    write_ct(tmp_path / 'in')
    return read_scan(tmp_path / 'in')


def masks_of(boxes):
    """(D, H, W, N) of boxes that end at voxel edges."""
    masks = np.zeros((*SHAPE, len(boxes)), bool)
    for number, (z1, y1, x1, z2, y2, x2) in enumerate(np.asarray(boxes, int)):
        masks[z1:z2, y1:y2, x1:x2, number] = True
    return masks


def read_masks(path, scan):
    """(D, H, W, N) by the images that frames refer to, and at which positions these lie."""
    seg = highdicom.seg.segread(path)
    images = [pydicom.dcmread(file).SOPInstanceUID for file in scan.source.slices]
    return seg, seg.get_pixels_by_source_instance(
        images, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    ).astype(bool)


def assert_same_place(seg, scan):
    """Check positions and orientation of all frames against those of the scan's slices."""
    places = {
        str(image.SOPInstanceUID): image for image in map(pydicom.dcmread, scan.source.slices)
    }
    shared = seg.SharedFunctionalGroupsSequence[0]
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        image = places[source.ReferencedSOPInstanceUID]
        np.testing.assert_allclose(
            frame.PlanePositionSequence[0].ImagePositionPatient, image.ImagePositionPatient
        )
        np.testing.assert_allclose(
            shared.PlaneOrientationSequence[0].ImageOrientationPatient,
            image.ImageOrientationPatient,
        )
    np.testing.assert_allclose(
        shared.PixelMeasuresSequence[0].PixelSpacing, scan.geometry.spacing[1::-1]
    )


@pytest.mark.parametrize('orientation', [STRAIGHT, TURNED, DOWNWARD])
def test_segments_are_the_boxes(orientation, tmp_path):
    write_ct(tmp_path / 'in', orientation)
    scan = read_scan(tmp_path / 'in')
    files = find(scan).save(tmp_path / 'out', ['dicom'])
    assert [file.name for file in files] == ['seg.dcm', 'sr.dcm']
    seg, masks = read_masks(files[0], scan)
    np.testing.assert_array_equal(masks, masks_of(BOXES))
    assert_same_place(seg, scan)


def test_slices_of_a_downward_series_start_at_the_head(tmp_path):
    """The first voxel plane is the highest one, so that the test above tests what it says."""
    write_ct(tmp_path / 'in', DOWNWARD)
    scan = read_scan(tmp_path / 'in')
    heights = [pydicom.dcmread(file).ImagePositionPatient[2] for file in scan.source.slices]
    assert heights == sorted(heights, reverse=True) and heights[0] > heights[-1]
    report = read_report(find(scan).save(tmp_path / 'out', ['dicom'])[1])
    (first, *_), _ = report
    assert values(first)['Center, patient z (LPS)'][0] == pytest.approx(-310 - 3 * 2.5)


def test_only_frames_with_lesions_are_stored(scan, tmp_path):
    path, _ = find(scan).save(tmp_path, ['dicom'])
    seg = pydicom.dcmread(path)
    # Slices 2, 3, 4 of the first box and 4, 5 of the second one.
    assert seg.NumberOfFrames == 5
    assert seg.SegmentationType == 'BINARY'
    assert [s.SegmentLabel for s in seg.SegmentSequence] == ['nodule 1', 'odd/thing 2']
    assert {s.SegmentAlgorithmType for s in seg.SegmentSequence} == {'AUTOMATIC'}
    types = [s.SegmentedPropertyTypeCodeSequence[0].CodeValue for s in seg.SegmentSequence]
    assert types == ['786838002', '52988006']
    (series,) = seg.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES
    assert len(series.ReferencedInstanceSequence) == SHAPE[0]


def test_overlapping_boxes_stay_whole(scan, tmp_path):
    """The second one lies within the first one, where a label map would show nothing of it."""
    boxes = [[2, 1, 1, 6, 8, 7], [3, 3, 3, 5, 5, 5]]
    path, _ = find(scan, boxes).save(tmp_path, ['dicom'])
    np.testing.assert_array_equal(read_masks(path, scan)[1], masks_of(boxes))


def test_a_box_outside_of_the_scan_is_its_nearest_voxel(scan, tmp_path):
    """A measurement has to refer to a segment, and a segment to have a frame."""
    path, report = find(scan, [BOXES[0], BOXES[1] + 50]).save(tmp_path, ['dicom'])
    last = np.array(SHAPE)
    expected = masks_of([BOXES[0], [*(last - 1), *last]])
    np.testing.assert_array_equal(read_masks(path, scan)[1], expected)
    assert len(read_report(report)[0]) == 2


def read_report(path):
    """Groups of measurements, and the whole report."""
    report = highdicom.sr.srread(path)
    groups = report.content.get_volumetric_roi_measurement_groups()
    return groups, report


def values(group):
    return {m.name.meaning: (m.value, m.unit.value) for m in group.get_measurements()}


@pytest.mark.parametrize('orientation', [STRAIGHT, TURNED])
def test_report_tells_of_each_lesion(orientation, tmp_path):
    write_ct(tmp_path / 'in', orientation)
    findings = find(read_scan(tmp_path / 'in'))
    seg, path = findings.save(tmp_path / 'out', ['dicom'])
    groups, report = read_report(path)
    assert len(groups) == len(findings.lesions) == 2
    for number, (group, lesion) in enumerate(zip(groups, findings.lesions, strict=True), 1):
        found = values(group)
        assert found['Diameter'] == (pytest.approx(lesion.diameter_mm, abs=1e-3), 'mm')
        score = 100 * SCORES[number - 1]
        assert found['Certainty of Finding'] == (pytest.approx(score), '%')
        center = [found[f'Center, patient {axis} (LPS)'][0] for axis in 'xyz']
        np.testing.assert_allclose(center, lesion.center_mm, atol=1e-3)
        segment = group.referenced_segment
        assert segment.referenced_sop_instance_uid == pydicom.dcmread(seg).SOPInstanceUID
        assert list(segment.referenced_segment_numbers) == [number]
        assert group.finding_type.value == ('786838002', '52988006')[number - 1]
        described = pydicom.dcmread(seg).SegmentSequence[number - 1]
        assert group.tracking_uid == described.TrackingUID


def test_objects_belong_to_the_patient_and_the_study(scan, tmp_path):
    for path in find(scan).save(tmp_path, ['dicom']):
        made = pydicom.dcmread(path)
        assert made.StudyInstanceUID == STUDY
        assert made.SeriesInstanceUID != SERIES
        assert (made.PatientName, made.PatientID, made.PatientSex) == (NAME, 'LA-7', 'F')
        assert made.PatientBirthDate == '19470929'
        assert made.get('FrameOfReferenceUID', FRAME) == FRAME
        assert made.ManufacturerModelName == 'small-model'
    assert pydicom.dcmread(tmp_path / 'seg.dcm').FrameOfReferenceUID == FRAME


def test_names_in_another_character_set_are_taken_over(tmp_path):
    tags = dict(PatientName='Σοφία^Α', ReferringPhysicianName='')
    write_ct(tmp_path / 'in', SpecificCharacterSet='ISO_IR 126', **tags)
    for path in find(read_scan(tmp_path / 'in')).save(tmp_path / 'out', ['dicom']):
        assert pydicom.dcmread(path).PatientName == 'Σοφία^Α'


def test_values_longer_than_allowed_are_taken_over(tmp_path):
    """They tell a PACS to which order the objects belong."""
    number = 'X' * 30
    with silence():
        for path in write_ct(tmp_path / 'in', StudyID=None):
            image = pydicom.dcmread(path)
            image.add(pydicom.DataElement('AccessionNumber', 'SH', number, validation_mode=0))
            image.save_as(path)
    for path in find(read_scan(tmp_path / 'in')).save(tmp_path / 'out', ['dicom']):
        with silence():
            assert pydicom.dcmread(path).AccessionNumber == number


def ids(folder):
    """Every id in both files."""
    found = []
    for name in (dicom.SEG, dicom.SR):
        for element in pydicom.dcmread(folder / name).iterall():
            if element.VR == 'UI':
                found.append((element.tag, str(element.value)))
    return found


def test_a_second_run_gives_the_same_ids_and_other_findings_give_others(scan, tmp_path):
    for name in ('one', 'two'):
        find(scan).save(tmp_path / name, ['dicom'])
    find(scan, scores=(0.9, 0.2)).save(tmp_path / 'other', ['dicom'])
    assert ids(tmp_path / 'one') == ids(tmp_path / 'two')
    for name in (dicom.SEG, dicom.SR):
        one, other = (pydicom.dcmread(tmp_path / run / name) for run in ('one', 'other'))
        assert one.SOPInstanceUID != other.SOPInstanceUID
        assert one.SeriesInstanceUID != other.SeriesInstanceUID


def test_without_lesions_there_is_a_report_that_says_so(scan, tmp_path):
    find(scan).save(tmp_path, ['dicom'])
    (path,) = find(scan, (), (), ()).save(tmp_path, ['dicom'])
    assert path.name == 'sr.dcm'
    assert not (tmp_path / 'seg.dcm').exists()  # of the earlier findings
    groups, report = read_report(path)
    assert groups == []
    (group,) = report.content.get_image_measurement_groups()
    answers = {a.name.meaning: a.value.meaning for a in group.get_qualitative_evaluations()}
    assert answers['Lesion'] == 'Absent'


def test_a_scan_that_is_no_series_is_refused(tmp_path):
    scan = scan_in_memory(sitk.Image(8, 8, 8, sitk.sitkInt16), 'cube')
    with pytest.raises(ValueError, match='^cube: the format dicom needs a scan from a DICOM'):
        find(scan).save(tmp_path, ['dicom'])


def test_sparse_headers_are_completed(tmp_path):
    """The series has neither dates nor a study id; the sex is none that DICOM knows."""
    write_series(
        tmp_path / 'in',
        np.zeros(SHAPE, np.int16),
        FrameOfReferenceUID=FRAME,
        PatientSex='WOMAN',
    )
    for path in find(read_scan(tmp_path / 'in')).save(tmp_path / 'out', ['dicom']):
        made = pydicom.dcmread(path)
        assert (made.StudyDate, made.PatientSex, made.PatientName) == ('', '', PATIENT)


def test_a_series_without_frame_of_reference_gives_no_segmentation(tmp_path):
    write_series(tmp_path / 'in', np.zeros(SHAPE, np.int16))
    scan = read_scan(tmp_path / 'in')
    with pytest.raises(ValueError, match='has no FrameOfReferenceUID, which'):
        find(scan).save(tmp_path / 'out', ['dicom'])
    assert find(scan, (), (), ()).save(tmp_path / 'out', ['dicom'])


def test_nothing_of_the_patient_is_told(tmp_path, capfd, caplog, recwarn):
    """A name that highdicom warns of, and a date that it refuses with the date in the message."""
    for number, tags in enumerate([dict(PatientName='Solo'), dict(StudyDate='SOLO1547')]):
        with silence():
            write_ct(tmp_path / f'in{number}', **tags)
        try:
            find(read_scan(tmp_path / f'in{number}')).save(tmp_path / f'out{number}', ['dicom'])
        except ValueError as error:
            assert 'cannot be taken over' in str(error)
            assert error.__suppress_context__
            print(error)
    told = ''.join((*capfd.readouterr(), caplog.text, *(str(w.message) for w in recwarn)))
    assert 'cannot be taken over' in told
    assert 'solo' not in told.lower()
    names = ' '.join(path.name for path in tmp_path.rglob('*'))
    assert 'solo' not in names.lower()


def test_missing_package_is_told_with_what_to_install(scan, tmp_path, monkeypatch):
    for name in [n for n in sys.modules if '.formats.dicom_' in n]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'highdicom', None)
    with pytest.raises(ValueError, match=r"highdicom: pip install 'mmdet3d_medical\[dicom\]'"):
        find(scan).save(tmp_path / 'out', ['dicom'])


@pytest.mark.skipif(not shutil.which('dciodvfy'), reason='dciodvfy (dicom3tools) is missing')
@pytest.mark.parametrize('orientation', [STRAIGHT, TURNED])
def test_a_validator_accepts_both(orientation, tmp_path):
    first = write_ct(tmp_path / 'in', orientation)[0]
    scan = read_scan(tmp_path / 'in')
    files = [
        *find(scan).save(tmp_path / 'out', ['dicom']),
        *find(scan, (), (), ()).save(tmp_path / 'empty', ['dicom']),
        *find(scan, [BOXES[0], BOXES[0]]).save(tmp_path / 'twice', ['dicom']),
        *find(scan, [BOXES[0], BOXES[0] + 50]).save(tmp_path / 'outside', ['dicom']),
    ]
    assert len(files) == 7
    for path in (first, *files):
        done = subprocess.run(['dciodvfy', str(path)], capture_output=True, text=True)
        lines = (done.stdout + done.stderr).splitlines()
        assert any(line in ('CTImage', 'Segmentation', 'Comprehensive3DSR') for line in lines)
        assert [line for line in lines if 'Error' in line] == []
        # It knows no private coding scheme, which DICOM allows.
        assert all('99MMDET3D' in line for line in lines if 'Warning' in line), lines
