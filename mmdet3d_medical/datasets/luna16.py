"""LUNA16: 888 chest CTs in ten subsets, nodules of at least 3 mm."""

from mmdet3d_medical.registry import DATASETS

from .packed import PackedScans
from .volume_det import VolumeDetDataset


@DATASETS.register_module()
class LUNA16Dataset(VolumeDetDataset):
    """LUNA16 as written by ``mmdet3d-medical convert-luna16``.

    Fold k of the ten-fold protocol tests on ``subsets=[k]`` and trains on the other nine. Lists of
    labeled and unlabeled scans come from ``mmdet3d-medical make-splits``.
    """

    METAINFO = dict(classes=('nodule',), dataset_type='LUNA16')

    def _select(self, scans: PackedScans) -> PackedScans:
        wanted = set(self.subsets or ())
        absent = sorted(wanted and wanted - {scan.get('subset') for scan in scans})
        if absent:
            raise ValueError(
                f'{self.ann_file} has no scans of the subsets {absent}: LUNA16 has '
                'the subsets 0 to 9, and only converted ones can be used'
            )
        return super()._select(scans)
