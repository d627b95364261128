# The same detector for phantoms at 2 mm voxels, with half as many convolutions and at most a
# quarter of the width; cells of one slice and 4 x 4 pixels (8 mm), pooled at once.
_base_ = './s4nd.py'
cell = (1, 4, 4)

model = dict(
    data_preprocessor=dict(pad_size_divisor=cell),
    backbone=dict(growth_channels=(2, 4, 4, 8, 16), num_convs=3, pools=(4, 1, 1, 1)),
    bbox_head=dict(in_channels=80, anchor_generator=dict(strides=[cell], sizes=[[cell]])),
    test_cfg=dict(tile_size=128, tile_overlap=32),
    channels_last=True,
)
