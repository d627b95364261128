# 3D FPN (Liu et al. 2019, arXiv 1906.03467): dense lateral connections, whole scans in testing.
# The paper states neither backbone, anchors nor loss; those of retina3d_r18_fpn.py take their
# place.
_base_ = './retina3d_r18_fpn.py'

model = dict(
    neck=dict(type='DenseFPN3D', shrink='max', enlarge='nearest'),
    test_cfg=dict(tile_size=None),
)
