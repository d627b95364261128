# retina3d_r18_fpn_small.py with the encoder of SwinUNETR as MONAI has it, a quarter as wide, from
# its patches to its second stage, in windows of 4 tokens.
_base_ = './retina3d_r18_fpn_small.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MONAIEncoder',
        name='swin_unetr.SwinTransformer',
        args=dict(
            in_chans=1,
            embed_dim=12,
            window_size=(4, 4, 4),
            patch_size=(2, 2, 2),
            depths=(2, 2, 2, 2),
            num_heads=(3, 6, 12, 24),
        ),
        out_modules=('patch_embed', 'layers1.0', 'layers2.0'),
    ),
    neck=dict(in_channels=None),
)
