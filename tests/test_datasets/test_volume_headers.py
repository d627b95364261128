"""Headers that say too little, or what ITK does not read; and those that only look unusual."""

import gzip
import locale
import math
import struct
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.datasets.converters import ConvertSettings, convert_volumes
from mmdet3d_medical.datasets.converters.formats import UNCHECKED, UNPLACED, data_files, file_notes
from mmdet3d_medical.datasets.converters.image_io import read_hu, read_image, read_labels
from mmdet3d_medical.inference.scans import find_scans

from .volume_files import VOLUME, metaimage, nifti, nrrd, refused

PLACED = {
    'space': 'left-posterior-superior',
    'space directions': '(0.7,0,0) (0,0.8,0) (0,0,2.5)',
    'space origin': '(1,2,3)',
}


def pair(folder):
    """NIfTI as a header and a file of voxels: as in one file, but for magic and offset."""
    content = bytearray(nifti(folder / 'single.nii').read_bytes())
    struct.pack_into('<f', content, 108, 0)
    content[344:348] = b'ni1\0'
    (folder / 'a.hdr').write_bytes(content[:348])
    (folder / 'a.img').write_bytes(content[352:])
    return folder / 'a.hdr'


def edited(path, old, new):
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    return path


UNUSUAL = {
    'slope and intercept NaN': lambda p: nifti(p / 'a.nii', scale=(math.nan, math.nan)),
    'header and voxels apart': pair,
    'a name beyond ASCII': lambda p: metaimage(p / 'a.mhd', data='Größe.raw'),
    'the same of NRRD': lambda p: nrrd(p / 'a.nhdr', data='Größe.raw', **PLACED),
    'blank lines': lambda p: edited(metaimage(p / 'a.mha'), b'ElementType', b'\n\nElementType'),
    'colons': lambda p: edited(metaimage(p / 'a.mha'), b'DimSize =', b'DimSize :'),
    'a gzip stream': lambda p: metaimage(
        p / 'a.mhd', data='a.zraw', body=gzip.compress(VOLUME.tobytes()), CompressedData=True
    ),
    'mm': lambda p: metaimage(p / 'a.mha', DistanceUnits='mm'),
    'mm of NRRD': lambda p: nrrd(p / 'a.nrrd', **PLACED, **{'space units': '"mm" "mm" "mm"'}),
}


@pytest.mark.parametrize('name', UNUSUAL)
def test_what_is_unusual_is_read(name, tmp_path):
    path = UNUSUAL[name](tmp_path)
    image = read_hu(path)
    is_nifti = path.suffix in ('.nii', '.hdr')  # which runs to the right and to the front
    found = sitk.GetArrayFromImage(image)
    np.testing.assert_array_equal(found, VOLUME[:, ::-1, ::-1] if is_nifti else VOLUME)
    assert image.GetSpacing() == pytest.approx((0.7, 0.8, 2.5)) and not file_notes([path])


REFUSED = {
    'cm': (lambda p: metaimage(p / 'a.mha', DistanceUnits='cm'), 'lengths are in cm'),
    'cm of NRRD': (
        lambda p: nrrd(p / 'a.nrrd', **PLACED, **{'space units': '"cm" "cm" "cm"'}),
        'lengths are in cm',
    ),
    'cm of axes': (
        lambda p: nrrd(p / 'a.nrrd', spacings='1 1 1', units='"mm" "mm" "cm"'),
        'lengths are in cm',
    ),
    'an axis without a direction': (
        lambda p: nrrd(p / 'a.nrrd', **PLACED | {'space directions': 'none (0,0.8,0) (0,0,2.5)'}),
        'not all of its axes',
    ),
    'an axis without a spacing': (
        lambda p: nrrd(p / 'a.nrrd', spacings='0.7 0.8 nan'),
        'not all of its axes',
    ),
    'sheared directions': (
        lambda p: nrrd(
            p / 'a.nrrd', **PLACED | {'space directions': '(0.7,0,0) (0.3,0.8,0) (0,0,2.5)'}
        ),
        'perpendicular',
    ),
    'bytes before compressed voxels': (
        lambda p: metaimage(
            p / 'a.mhd',
            data='a.zraw',
            HeaderSize=5,
            CompressedData=True,
            body=b'12345' + zlib.compress(VOLUME.tobytes()),
        ),
        'HeaderSize and CompressedData',
    ),  # fmt: skip
    'a slope without an intercept': (
        lambda p: nifti(p / 'a.nii', scale=(math.nan, 5)),
        'slope nan and intercept 5',
    ),
    'a pattern of two numbers': (
        lambda p: metaimage(p / 'a.mhd', data='s%d%d.raw 1 6', body=b''),
        'header',
    ),
    'a pattern of very many files': (
        lambda p: metaimage(p / 'a.mhd', data='s%d.raw 1 99999999999', body=b''),
        'names 99999999999 files',
    ),
}


@pytest.mark.tried(
    'volumes',
    'lengths in cm, axes without a size, bytes before compressed voxels',
    'the scan fails: ITK would take other sizes or voxels',
)
@pytest.mark.parametrize('make, message', REFUSED.values(), ids=REFUSED)
def test_what_itk_would_read_wrongly_is_refused(make, message, tmp_path):
    assert message in refused(make(tmp_path))


@pytest.mark.tried('volumes', 'a pair `.hdr`, `.img` cut off', 'the scan fails')
def test_a_pair_is_checked(tmp_path):
    path = pair(tmp_path)
    voxels = tmp_path / 'a.img'
    assert data_files(path) == [path, voxels]
    voxels.write_bytes(voxels.read_bytes()[:500])
    assert 'a.img: expected 960 bytes of voxels by the header, found 500' in refused(path)
    assert 'name its header, a.hdr' in refused(voxels)


@pytest.mark.tried(
    'volumes',
    'a header without a transform or a voxel size',
    'the report tells what was taken instead',
)
def test_what_a_header_does_not_say_is_told(tmp_path):
    (tmp_path / 'scans').mkdir()
    nifti(tmp_path / 'scans/a.nii', codes=(0, 0))
    nrrd(tmp_path / 'scans/b.nrrd')
    edited(metaimage(tmp_path / 'scans/c.mha'), b'ElementSpacing = 0.7 0.8 2.5\n', b'')
    metaimage(tmp_path / 'scans/d.mha')
    nrrd(tmp_path / 'scans/e.nrrd', **PLACED)
    report = convert_volumes([tmp_path / 'scans'], [], tmp_path / 'out', ConvertSettings())
    assert not report.failures
    assert list(report.notes) == [UNPLACED]
    told = [note.split(':')[0] for note in report.notes[UNPLACED]]
    assert (
        told == ['a', 'b', 'c'] and 'a.nii has neither qform nor sform' in report.notes[UNPLACED][0]
    )


def without(path, *keys):
    for key in keys:
        lines = [x for x in path.read_bytes().splitlines(True) if x.startswith(key.encode())]
        edited(path, lines[0], b'')
    return path


SIDES = 'left and right may be swapped'
PARTLY_PLACED = {
    'MetaImage without a place': (
        lambda p: without(metaimage(p / 'a.mha'), 'Offset'),
        ['no Offset: its first voxel is taken to lie at 0 mm'],
    ),
    'MetaImage without directions': (
        lambda p: without(metaimage(p / 'a.mha'), 'TransformMatrix'),
        ['no TransformMatrix: ', SIDES],
    ),
    'MetaImage with neither': (
        lambda p: without(metaimage(p / 'a.mha'), 'TransformMatrix', 'Offset'),
        ['no Offset', 'no TransformMatrix: ', SIDES],
    ),
    'NRRD with spacings alone': (
        lambda p: nrrd(p / 'a.nrrd', spacings='0.7 0.8 2.5'),
        ['no space origin: its first voxel', 'no space directions: ', SIDES],
    ),
    'NRRD without an origin': (
        lambda p: nrrd(p / 'a.nrrd', **PLACED | {'space origin': 'none'}),
        ['no space origin: its first voxel'],
    ),
    'NRRD without a space': (
        lambda p: without(
            nrrd(p / 'a.nrrd', **{'space dimension': 3, 'space': 'x'} | PLACED), 'space: '
        ),
        ['no space: ', SIDES],
    ),
    'NRRD of a scanner': (
        lambda p: nrrd(p / 'a.nrrd', **PLACED | {'space': 'scanner-xyz'}),
        ['the space scanner-xyz, whose sides are unknown: ', SIDES],
    ),
    'NRRD of a right hand': (
        lambda p: nrrd(p / 'a.nrrd', **PLACED | {'space': '3D-right-handed'}),
        ['the space 3D-right-handed, whose sides are unknown: ', SIDES],
    ),
}  # fmt: skip


@pytest.mark.tried(
    'volumes',
    'a header without origin or directions, or with a space such as `scanner-xyz`',
    'converters and `predict` tell what was taken, and if left and right may be swapped',
)
@pytest.mark.parametrize('make, told', PARTLY_PLACED.values(), ids=PARTLY_PLACED)
def test_place_and_sides_that_a_header_does_not_say_are_told(make, told, tmp_path):
    path = make(tmp_path)
    read_hu(path)
    (note,) = file_notes([path]).values()
    assert all(text in note for text in told) and (SIDES in note) == (SIDES in told)
    (scan,) = find_scans([path], tmp_path).scans
    assert [note in line for line in scan.file_notes()] == [True]


@pytest.mark.parametrize('letters', ['LPS', 'RAS', 'LAS'])
def test_spaces_with_known_sides_are_read_as_they_say(letters, tmp_path):
    """A voxel of each file lies where its space says; nothing is told."""
    long = {'LPS': 'left-posterior', 'RAS': 'right-anterior', 'LAS': 'left-anterior'}
    signs = np.array([-1 if letters[0] == 'R' else 1, -1 if letters[1] == 'A' else 1, 1])
    voxels = np.full(VOLUME.shape, -1000, np.int16)
    voxels[4, 2, 7] = 500
    for space in (
        letters,
        letters.lower(),
        f'{long[letters]}-superior',
        f'{long[letters]} superior'.replace('-', ' '),
    ):
        path = nrrd(tmp_path / 'a.nrrd', voxels, **PLACED | {'space': space})
        image = read_hu(path)
        index = np.argwhere(sitk.GetArrayFromImage(image) == 500)[0][::-1]
        place = image.TransformIndexToPhysicalPoint(index.tolist())
        expected = signs * (np.array([1, 2, 3]) + np.array([7, 2, 4]) * [0.7, 0.8, 2.5])
        np.testing.assert_allclose(place, expected)
        assert not file_notes([path])


@pytest.mark.tried('volumes', 'NRRD of the space `3D-left-handed`', 'the scan fails')
@pytest.mark.parametrize('space', ['3D-left-handed', '3D Left Handed'])
def test_a_space_that_would_be_mirrored_is_refused(space, tmp_path):
    path = nrrd(tmp_path / 'a.nrrd', **PLACED | {'space': space})
    assert f'its space is {space}, which is read mirrored' in refused(path)


@pytest.mark.tried(
    'volumes',
    'other formats that SimpleITK reads (`.vtk`, `.gipl`, `.tif`), given by name',
    'read without these checks; the report tells',
)
def test_formats_without_a_check_are_told(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(VOLUME), str(tmp_path / 'a.vtk'))
    before = locale.setlocale(locale.LC_ALL)
    report = convert_volumes([tmp_path / 'a.vtk'], [], tmp_path / 'out', ConvertSettings())
    assert report.notes == {UNCHECKED: ['a: a.vtk']}
    assert locale.setlocale(locale.LC_ALL) == before  # ITK leaves "C" behind


def test_a_label_beyond_those_of_float32_is_refused(tmp_path):
    """2^32 - 1, the last label, is 2^32 in float32, and 0 once it is cast to uint32."""
    voxels = np.full(VOLUME.shape, 2**32 - 1, np.float32)
    with pytest.raises(ValueError, match='value of 4.2949673e\\+09'):
        read_labels(nifti(tmp_path / 'a.nii', voxels))


@pytest.mark.tried(
    'volumes', 'one scan of a folder is broken', 'it fails with one line, the others are converted'
)
def test_other_scans_go_on(tmp_path):
    (tmp_path / 'scans').mkdir()
    nifti(tmp_path / 'scans/good.nii')
    metaimage(tmp_path / 'scans/pattern.mhd', data='s%d%d.raw 1 6', body=b'')
    (tmp_path / 'scans/link.mha').symlink_to('nowhere')
    report = convert_volumes([tmp_path / 'scans'], [], tmp_path / 'out', ConvertSettings())
    assert report.scans == 1 and sorted(report.failures) == ['link', 'pattern']
    assert all(len(message.splitlines()) == 1 for message in report.failures.values())


@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('degrees', [0.3, 2, 10, 30])
def test_oblique_files_of_simpleitk_itself(axis, degrees, tmp_path):
    """Both transforms are set; of a quaternion near half a turn float32 keeps few digits."""
    turned = math.radians(degrees)
    for _ in range(10):
        turned *= 1.001
        cos, sin = math.cos(turned), math.sin(turned)
        direction = [(1, 0, 0, 0, cos, -sin, 0, sin, cos), (cos, 0, sin, 0, 1, 0, -sin, 0, cos)]
        image = sitk.Image([300, 4, 260], sitk.sitkInt16)
        image.SetSpacing((0.7, 0.7, 1.25))
        image.SetOrigin((-120.5, -80.25, -300))
        image.SetDirection(direction[axis])
        sitk.WriteImage(image, str(tmp_path / 'a.nii'))
        read = read_image(tmp_path / 'a.nii')
        np.testing.assert_allclose(read.GetOrigin(), image.GetOrigin(), atol=1e-3)


def test_a_slice_with_both_transforms_is_no_volume(tmp_path):
    path = nifti(tmp_path / 'a.nii', VOLUME, codes=(1, 1), qform=[0, 0, 0, -10, -20, -30])
    header = bytearray(path.read_bytes())
    struct.pack_into('<8h', header, 40, 2, 10, 48, 1, 1, 1, 1, 1)
    path.write_bytes(header)
    with pytest.raises(ValueError, match='a.nii: '):
        read_image(path)
