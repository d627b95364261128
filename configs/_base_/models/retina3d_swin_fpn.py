# retina3d_r18_fpn.py with the encoder of SwinUNETR as MONAI has it, without its last stage.
_base_ = './retina3d_r18_fpn.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MONAIEncoder',
        name='swin_unetr.SwinTransformer',
        args=dict(
            in_chans=1,
            embed_dim=48,
            window_size=(7, 7, 7),
            patch_size=(2, 2, 2),
            depths=(2, 2, 2, 2),
            num_heads=(3, 6, 12, 24),
        ),
        out_modules=('layers1.0', 'layers2.0', 'layers3.0'),
    ),
    neck=dict(in_channels=None),  # as many as the backbone puts out
)
