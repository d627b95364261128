"""Files of volumes that do not hold what their header says, written byte by byte."""

import gzip
import math
import os
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from mmdet3d_medical.datasets.converters import ConvertSettings, convert_volumes
from mmdet3d_medical.datasets.converters.formats import check_files, data_files
from mmdet3d_medical.datasets.converters.image_io import read_hu, read_image, read_labels

from .volume_files import SFORM, VOLUME, metaimage, nifti, nrrd, refused

WHOLE = {
    'nii': lambda p: nifti(p / 'a.nii'),
    'big-endian nii': lambda p: nifti(p / 'a.nii', order='>'),
    'nii.gz': lambda p: nifti(p / 'a.nii.gz'),
    'float nii.gz': lambda p: nifti(p / 'a.nii.gz', VOLUME.astype('f4')),
    'mha': lambda p: metaimage(p / 'a.mha'),
    'compressed mha': lambda p: metaimage(
        p / 'a.mha',
        body=zlib.compress(VOLUME.tobytes()),
        CompressedData=True,
        CompressedDataSize=len(zlib.compress(VOLUME.tobytes())),
    ),
    'mhd': lambda p: metaimage(p / 'a.mhd', data='other name.raw'),
    'mhd behind a header': lambda p: metaimage(
        p / 'a.mhd', data='a.raw', HeaderSize=-1, body=b'12345' + VOLUME.tobytes()
    ),
    'compressed mhd': lambda p: metaimage(
        p / 'a.mhd', data='a.zraw', CompressedData=True, body=zlib.compress(VOLUME.tobytes())
    ),
    'nrrd': lambda p: nrrd(p / 'a.nrrd'),
    'gzip nrrd': lambda p: nrrd(
        p / 'a.nrrd', encoding='gzip', body=gzip.compress(VOLUME.tobytes())
    ),
    'text nrrd': lambda p: nrrd(
        p / 'a.nrrd', encoding='ascii', body=' '.join(map(str, VOLUME.ravel())).encode()
    ),
    'nhdr': lambda p: nrrd(p / 'a.nhdr', data='a.raw'),
    'nhdr with lines before': lambda p: nrrd(
        p / 'a.nhdr', data='a.raw', body=b'one\ntwo\n' + VOLUME.tobytes(), **{'line skip': 2}
    ),
}


@pytest.mark.parametrize('name', WHOLE)
def test_what_is_whole_is_read(name, tmp_path):
    found = sitk.GetArrayFromImage(read_hu(WHOLE[name](tmp_path)))
    # The axes of these NIfTI files run to the right and to the front: RAS.
    np.testing.assert_array_equal(found, VOLUME[:, ::-1, ::-1] if 'nii' in name else VOLUME)


@pytest.mark.tried(
    'volumes',
    '`.nii`, `.nii.gz`, `.mhd`, `.mha`, `.nrrd`, `.nhdr` cut off at 30 to 99.9 %',
    'the scan fails: the file, its bytes and those of the header',
)
@pytest.mark.parametrize('share', [0.3, 0.6, 0.999])
@pytest.mark.parametrize('name', WHOLE)
def test_what_is_cut_off_is_refused(name, share, tmp_path):
    path = WHOLE[name](tmp_path)
    data = data_files(path)[-1]
    content = data.read_bytes()
    begin = 0 if data != path else len(content) - VOLUME.nbytes // 3
    if name in ('mhd behind a header', 'text nrrd') and share == 0.999:
        share = 0.99  # bytes before the voxels, or half a number, may stand in for a few
    data.write_bytes(content[: begin + int((len(content) - begin) * share)])
    assert 'cut off' in refused(path) or 'damaged' in refused(path)


@pytest.mark.tried(
    'volumes',
    'a file of voxels longer than its header says, as with another DimSize or ElementType',
    'the scan fails: the bytes found and expected',
)
@pytest.mark.parametrize('name', ['nii', 'nii.gz', 'mha', 'mhd', 'nrrd', 'nhdr'])
def test_what_is_too_long_is_refused(name, tmp_path):
    longer = np.concatenate([VOLUME, VOLUME[:1]])
    path = WHOLE[name](tmp_path)
    data = data_files(path)[-1]
    content = data.read_bytes()
    if name == 'nii.gz':
        data.write_bytes(gzip.compress(gzip.decompress(content) + VOLUME[:1].tobytes()))
    else:
        data.write_bytes(content + VOLUME[:1].tobytes())
    message = refused(path)
    assert f'expected {VOLUME.nbytes} bytes' in message and f'found {longer.nbytes}' in message


@pytest.mark.tried('volumes', 'one damaged byte in compressed voxels', 'the scan fails')
@pytest.mark.parametrize(
    'name', ['nii.gz', 'float nii.gz', 'compressed mha', 'compressed mhd', 'gzip nrrd']
)
def test_a_damaged_byte_is_noticed(name, tmp_path):
    path = WHOLE[name](tmp_path)
    data = data_files(path)[-1]
    whole, noticed = data.read_bytes(), 0
    # Behind gzip's own header, whose time and system mean nothing.
    places = range(max(len(whole) - 400, 20), len(whole), 7)
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        data.write_bytes(damaged)
        try:
            check_files(path)
        except ValueError as error:
            assert 'damaged' in str(error) or 'header' in str(error)
            noticed += 1
    assert noticed >= len(places) - 1 > 20  # the last bits before a checksum may have no meaning


def test_a_size_of_compressed_data_that_is_another_is_refused(tmp_path):
    path = metaimage(
        tmp_path / 'a.mha',
        body=zlib.compress(VOLUME.tobytes()),
        CompressedData=True,
        CompressedDataSize=100,
    )
    assert 'expected 100 bytes of compressed voxels' in refused(path)
    path = metaimage(tmp_path / 'a.mha', body=zlib.compress(VOLUME.tobytes()), CompressedData=True)
    assert 'CompressedDataSize' in refused(path)


@pytest.mark.tried(
    'volumes',
    'NaN, infinity, or a value above 32767 HU, also in NIfTI',
    'the scan fails, naming the value',
)
@pytest.mark.parametrize(
    'value, message',
    [
        (math.nan, 'not finite'),
        (math.inf, 'not finite'),
        (-math.inf, 'not finite'),
        (1e30, 'value of 1e\\+30'),
        (40000, 'value of 40000'),
    ],
)
@pytest.mark.parametrize('suffix', ['.nii', '.nii.gz', '.mha'])
@pytest.mark.parametrize('kind', ['f4', 'f8'])
def test_values_that_are_no_hu_are_refused(value, message, suffix, kind, tmp_path):
    voxels = VOLUME.astype(kind)
    voxels[3, 4, 5] = value
    path = tmp_path / f'a{suffix}'
    if suffix == '.mha':
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path))
    else:
        nifti(path, voxels)
    with pytest.raises(ValueError, match=message):
        read_hu(path)


def test_what_lies_below_air_is_air(tmp_path):
    voxels = VOLUME.astype('f4')
    voxels[0, 0, 0] = -1e30  # a filling outside of the field of view
    found = sitk.GetArrayFromImage(read_hu(nifti(tmp_path / 'a.nii', voxels)))
    assert found.min() == -1024


TRANSFORMS = {
    'sform and pixdim': (dict(pixdim=(0.7, 0.8, 1.25)), 'sform has voxels of .*pixdim'),
    'sform and qform': (dict(codes=(1, 1), qform=[0, 0, 0, -10, -20, -27]), 'sform and qform'),
    'sheared sform': (
        dict(sform=SFORM + np.eye(4, k=1) * [[0], [0.5], [0], [0]]),
        'perpendicular|voxels of',
    ),
    'no length': (dict(pixdim=(0.7, 0, 2.5), codes=(1, 0)), 'pixdim is'),
    'no rotation': (dict(codes=(1, 0), qform=[0.9, 0.9, 0.9, 0, 0, 0]), 'quaternion'),
    'slope 0': (dict(scale=(0, 500)), 'slope 0 and intercept 500'),
}


@pytest.mark.tried(
    'volumes',
    'NIfTI whose sform, qform and pixdim disagree, or whose sform is sheared by gantry tilt',
    'the scan fails, naming both transforms',
)
@pytest.mark.parametrize('options, message', TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms_that_contradict_each_other_are_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_image(nifti(tmp_path / 'a.nii', **options))


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(codes=(1, 1), qform=[0, 0, 0, -10, -20, -30]),
        dict(codes=(2, 0), qform=[0, 0, 0, -10, -20, -30]),
        dict(pixdim=(0.70001, 0.8, 2.5)),
    ],
    ids=['sform', 'both', 'qform', 'rounded'],
)
def test_positions_are_those_of_the_standard(options, tmp_path):
    """Index (x, y, z) = (2, 3, 4): RAS -10 + 1.4, -20 + 2.4, -30 + 10, so LPS 8.6, 17.6, -20."""
    voxels = VOLUME.copy()
    voxels[4, 3, 2] = 3000
    image = read_image(nifti(tmp_path / 'a.nii', voxels, **options))
    z, y, x = np.argwhere(sitk.GetArrayFromImage(image) == 3000)[0].tolist()
    place = image.TransformIndexToPhysicalPoint((x, y, z))
    assert place == pytest.approx((8.6, 17.6, -20), abs=1e-3)


@pytest.mark.tried(
    'volumes', 'axes that are not perpendicular (MetaImage, NRRD, NIfTI)', 'the scan fails'
)
def test_axes_that_are_not_perpendicular_are_refused(tmp_path):
    path = metaimage(tmp_path / 'a.mha', TransformMatrix='1 0 0 0.3 1 0 0 0 1')
    assert 'perpendicular' in refused(path)


@pytest.mark.parametrize(
    'field',
    [dict(ElementToIntensityFunctionSlope=2), dict(Offset='0 inf 0'), dict(ElementType='MET_HALF')],
)
def test_headers_that_are_not_understood_are_refused(field, tmp_path):
    assert 'header' in refused(metaimage(tmp_path / 'a.mha', **field))


@pytest.mark.tried(
    'volumes',
    'an empty file, a folder, a broken link or a pipe in the place of a volume',
    'the scan fails; nothing waits',
)
def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / 'empty.nii.gz').touch()
    (tmp_path / 'folder.nii').mkdir()
    (tmp_path / 'link.mha').symlink_to('nowhere')
    os.mkfifo(tmp_path / 'pipe.nrrd')
    for name in ('empty.nii.gz', 'folder.nii', 'link.mha', 'pipe.nrrd', 'missing.mhd'):
        refused(tmp_path / name)


def test_data_files_of_all_kinds_are_known(tmp_path):
    for number in range(6):
        (tmp_path / f's{number}.raw').write_bytes(VOLUME[number].tobytes())
    body = b'\n'.join(b's%d.raw' % number for number in range(6))
    listed = metaimage(tmp_path / 'a.mhd', data='LIST')
    listed.write_bytes(listed.read_bytes() + body)
    pattern = metaimage(tmp_path / 'b.mhd', data='s%d.raw 0 5 1', body=b'')
    for path in (listed, pattern):
        assert data_files(path) == [path, *(tmp_path / f's{k}.raw' for k in range(6))]
        check_files(path)
    (tmp_path / 's3.raw').write_bytes(b'')
    for path in (listed, pattern):
        assert 'expected 960 bytes' in refused(path)


@pytest.mark.tried(
    'volumes', 'any file changes that a converted scan was read from', 'the scan is converted again'
)
@pytest.mark.parametrize('name', ['mhd', 'nhdr', 'nii.gz'])
def test_a_changed_file_makes_the_cache_stale(name, tmp_path):
    scans = tmp_path / 'scans'
    scans.mkdir()
    path = WHOLE[name](scans)
    for value in (0, 77):
        data = data_files(path)[-1]
        content = data.read_bytes()
        changed = np.full(VOLUME.shape, value, np.int16).tobytes()
        if name == 'nii.gz':
            nifti(path, np.full(VOLUME.shape, value, np.int16))
        else:
            assert len(content) == len(changed)
            data.write_bytes(changed)
        os.utime(data, ns=(value, value))
        convert_volumes([scans], [], tmp_path / 'out', ConvertSettings())
        assert (np.load(tmp_path / 'out/volumes/a.npy') == value).all()


@pytest.mark.parametrize('part', ['images', 'labels'])
def test_image_and_mask_may_be_called_alike(part, tmp_path):
    """Folders too: images/train/a.nii and labels/train/a.nii are told apart."""
    settings = ConvertSettings()
    for folder in ('images', 'labels'):
        (tmp_path / folder / 'train').mkdir(parents=True)
        nifti(tmp_path / folder / 'train/a.nii', np.zeros(VOLUME.shape, np.int16))
    convert_volumes([tmp_path / 'images'], [tmp_path / 'labels'], tmp_path / 'out', settings)
    changed = nifti(tmp_path / part / 'train/a.nii', np.ones(VOLUME.shape, np.int16))
    os.utime(changed, ns=(1, 1))
    report = convert_volumes(
        [tmp_path / 'images'], [tmp_path / 'labels'], tmp_path / 'out', settings
    )
    assert report.lesions == (part == 'labels')
    assert (np.load(tmp_path / 'out/volumes/a.npy') == (part == 'images')).all()


# ----------------------------------------------------------------------------- labels


@pytest.mark.tried('masks', 'values within 0.001 of an integer', 'rounded to it')
def test_labels_are_rounded(tmp_path):
    voxels = np.zeros(VOLUME.shape, 'f4')
    voxels[1], voxels[2], voxels[3] = 0.9999999, 2.0005, 1.0
    labels = sitk.GetArrayFromImage(read_labels(nifti(tmp_path / 'a.nii', voxels)))
    assert labels.dtype == np.uint32 and sorted(np.unique(labels)) == [0, 1, 2]
    assert (labels == 1).sum() == 2 * (labels == 2).sum() == 2 * 80


@pytest.mark.tried(
    'masks', 'values of 0.5, probabilities, -1, 2^40, NaN', 'the scan fails, naming the value'
)
@pytest.mark.parametrize(
    'value, kind',
    [(0.5, 'f4'), (0.002, 'f4'), (-1, 'i2'), (-1, 'f4'), (2.0**40, 'f8'), (math.nan, 'f4')],
)
def test_what_is_no_label_is_refused(value, kind, tmp_path):
    voxels = np.zeros(VOLUME.shape, kind)
    voxels[1, 2, 3] = value
    with pytest.raises(ValueError, match='a.nii.*(labels|finite)'):
        read_labels(nifti(tmp_path / 'a.nii', voxels))
