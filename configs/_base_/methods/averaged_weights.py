# After another method, or alone: weights are averaged over the last few hundred steps, and the
# averages are tested and kept.
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExponentialMovingAverage',
        momentum=0.004,
        update_buffers=True,
    )
]
