# The same detector for phantoms at 2 mm voxels.
_base_ = './retina3d_r18_fpn_small.py'

model = dict(
    neck=dict(type='DenseFPN3D', shrink='max', enlarge='nearest'),
    test_cfg=dict(tile_size=None),
)
