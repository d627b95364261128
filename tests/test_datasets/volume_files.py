"""Writers of volume files, byte by byte, so that no library has a say."""

import gzip
import struct

import numpy as np
import pytest

from mmdet3d_medical.datasets.converters.image_io import read_hu

VOLUME = np.random.default_rng(0).integers(-1000, 400, (6, 8, 10)).astype(np.int16)
KINDS = {'u1': 2, 'i2': 4, 'i4': 8, 'f4': 16, 'f8': 64, 'u2': 512}
SFORM = np.diag([0.7, 0.8, 2.5, 1.0])
SFORM[:3, 3] = -10, -20, -30


def nifti(
    path,
    voxels=VOLUME,
    sform=SFORM,
    qform=None,
    pixdim=(0.7, 0.8, 2.5),
    codes=(0, 1),
    order='<',
    scale=(1, 0),
):
    """A NIfTI-1 file; qform is (b, c, d, x, y, z), codes are those of qform and sform."""
    header = bytearray(352)
    struct.pack_into(f'{order}i', header, 0, 348)
    struct.pack_into(f'{order}8h', header, 40, 3, *voxels.shape[::-1], 1, 1, 1, 1)
    kind = voxels.dtype.str[1:]
    struct.pack_into(f'{order}2h', header, 70, KINDS[kind], voxels.itemsize * 8)
    struct.pack_into(f'{order}8f', header, 76, 1, *pixdim, 1, 1, 1, 1)
    struct.pack_into(f'{order}3f', header, 108, 352, *scale)
    struct.pack_into(f'{order}2h', header, 252, *codes)
    struct.pack_into(f'{order}6f', header, 256, *(qform or [0] * 6))
    struct.pack_into(f'{order}12f', header, 280, *sform[:3].ravel())
    header[123], header[344:348] = 2, b'n+1\0'
    content = bytes(header) + voxels.astype(order + kind).tobytes()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == '.gz' else content)
    return path


def metaimage(path, voxels=VOLUME, data='LOCAL', body=None, **fields):
    """A MetaImage; ``data`` names the file of ``body``, by default the voxels as they are."""
    known = (
        dict(
            NDims=3,
            DimSize=' '.join(map(str, voxels.shape[::-1])),
            ElementType='MET_SHORT',
            ElementSpacing='0.7 0.8 2.5',
            Offset='0 0 0',
            TransformMatrix='1 0 0 0 1 0 0 0 1',
        )
        | fields
    )
    header = ''.join(f'{key} = {value}\n' for key, value in known.items())
    body = voxels.tobytes() if body is None else body
    path.write_bytes(f'{header}ElementDataFile = {data}\n'.encode() + body * (data == 'LOCAL'))
    if data != 'LOCAL':
        (path.parent / data).write_bytes(body)
    return path


def nrrd(path, voxels=VOLUME, encoding='raw', body=None, data=None, **fields):
    known = {
        'type': 'short',
        'dimension': 3,
        'encoding': encoding,
        'endian': 'little',
        'sizes': ' '.join(map(str, voxels.shape[::-1])),
        **fields,
    }
    if data:
        known['data file'] = data
    header = 'NRRD0004\n' + ''.join(f'{key}: {value}\n' for key, value in known.items())
    body = voxels.tobytes() if body is None else body
    path.write_bytes(f'{header}\n'.encode() + body * (data is None))
    if data:
        (path.parent / data).write_bytes(body)
    return path


def refused(path):
    """The message that a scan fails with."""
    with pytest.raises(ValueError) as error:
        read_hu(path)
    assert str(error.value).startswith(f'{path}: ')
    return str(error.value)
