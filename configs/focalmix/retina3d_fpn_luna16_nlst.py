# FocalMix with all 533 labeled scans of LUNA16 (six subsets) and unlabeled ones of NLST, about
# 3,000 in the paper, which reports CPM 0.907 (Table 4). 0.892 is retina3d/retina3d_fpn_luna16.py.
#
# Data:  LUNA16 as retina3d_fpn_luna16.py says; of NLST, as its archive gives it,
#        python tools/dataset_converters/dicom.py NLST_DIR --out data/nlst \
#            --spacing 1 1 1 --crop lungs
# Train: python tools/train.py configs/focalmix/retina3d_fpn_luna16_nlst.py --amp
# Test, time and memory: as retina3d_fpn_luna16.py says. Not trained yet.
_base_ = './retina3d_fpn_luna16.py'
train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            labeled=dict(split='splits/train.txt'),
            unlabeled=dict(
                type='VolumeDetDataset',
                metainfo=dict(classes=('nodule',)),
                data_root='data/nlst/',
                split=None,
            ),
        )
    )
)
