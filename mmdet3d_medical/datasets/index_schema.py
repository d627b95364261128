"""The schema of a data set's index, which ``docs/index.schema.json`` publishes.

A description tells what a key holds and, in messages, what was expected there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from typing_extensions import NotRequired, TypedDict

from .scan_ids import MAX_BYTES, check_scan_id

FORMAT = 'mmdet3d_medical/volumes'
VERSION = 1

Finite = Annotated[float, Field(allow_inf_nan=False)]
Vector3 = Annotated[list[Finite], Field(min_length=3, max_length=3)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Positive3 = Annotated[list[Positive], Field(min_length=3, max_length=3)]
Matrix3 = Annotated[list[Finite], Field(min_length=9, max_length=9)]
Shape3 = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=3, max_length=3)]
ScanId = Annotated[str, Field(min_length=1, max_length=MAX_BYTES), AfterValidator(check_scan_id)]
Name = Annotated[str, Field(min_length=1)]

# A key that is not known is a typing error: "ignored" for "ignore" would train a lesion.
STRICT = ConfigDict(strict=True, extra='forbid')


class Geometry(TypedDict):
    """Where the voxels of a volume lie in the world (mm, LPS), as in SimpleITK."""

    __pydantic_config__ = STRICT

    origin: Annotated[Vector3, Field(description='[x, y, z] of the center of voxel 0, 0, 0 in mm')]
    spacing: Annotated[Positive3, Field(description='three distances of voxels x, y, z in mm, > 0')]
    direction: Annotated[
        Matrix3, Field(description='nine numbers, row by row: column k is the direction of axis k')
    ]
    shape: Annotated[Shape3, Field(description='three numbers of voxels z, y, x, at least 1')]


class Instance(TypedDict):
    """A lesion, or a finding to ignore."""

    __pydantic_config__ = STRICT

    center: Annotated[Vector3, Field(description='[x, y, z] in mm')]
    size: NotRequired[
        Annotated[
            Positive3 | None,
            Field(description='three positive extents in mm along the axes z, y, x of the volume'),
        ]
    ]
    diameter: NotRequired[Annotated[Positive | None, Field(description='a positive number of mm')]]
    label: NotRequired[
        Annotated[int, Field(ge=0, description='the number of a class, counted from 0')]
    ]
    ignore: NotRequired[
        Annotated[bool, Field(description='true if neither to be learned nor scored, or false')]
    ]


class Scan(TypedDict):
    """A converted volume and what lies in it."""

    __pydantic_config__ = STRICT

    scan_id: Annotated[ScanId, Field(description='the name of the scan, a non-empty string')]
    subset: NotRequired[Annotated[int | None, Field(description='the number of a subset, or null')]]
    patient: NotRequired[
        Annotated[
            Name | None, Field(description='a name that tells nothing of the patient, or null')
        ]
    ]
    volume: Annotated[
        Name, Field(description='the path of an int16 .npy or .b2nd file, from the index')
    ]
    geometry: Annotated[Geometry, Field(description='an object')]
    annotated: Annotated[
        bool, Field(description='true, or false if nobody looked for lesions in this scan')
    ]
    instances: Annotated[list[Instance], Field(description='a list of lesions')]


class Index(TypedDict):
    """Scans of a converted data set."""

    __pydantic_config__ = STRICT

    format: Annotated[Literal[FORMAT], Field(description='what the file is')]
    version: Annotated[Literal[VERSION], Field(description='the number 1')]
    classes: Annotated[list[Name], Field(description='a list of names')]
    spacing: NotRequired[
        Annotated[
            Positive3 | None,
            Field(description='three distances z, y, x in mm that all scans have, or null'),
        ]
    ]
    settings: NotRequired[
        Annotated[dict[str, Any], Field(description='an object, free: how the data were made')]
    ]
    scans: Annotated[list[Scan], Field(description='a list of scans')]


INDEX, SCAN = TypeAdapter(Index), TypeAdapter(Scan)


def json_schema() -> dict:
    """The schema as JSON Schema (draft 2020-12)."""
    return {'$schema': 'https://json-schema.org/draft/2020-12/schema', **INDEX.json_schema()}


def describe(keys: Sequence[str]) -> str:
    """What the schema says of a key, given with the keys of the objects and lists around it."""
    schema = json_schema()
    level = schema
    for key in keys[:-1]:
        inner = level['properties'][key]
        level = schema['$defs'][inner.get('items', inner)['$ref'].rpartition('/')[-1]]
    return level['properties'][keys[-1]]['description']
