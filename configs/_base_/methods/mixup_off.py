# After another method: no MixUp in the last fifth of the iterations. Training then ends on patches
# as they are. With unlabeled scans mixup_off of SemiSupervisedHook does the same.
custom_hooks = [dict(type='MixUpOffHook', share=0.2)]
