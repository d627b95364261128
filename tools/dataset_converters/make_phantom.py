"""The same as ``mmdet3d-medical make-phantom``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('make-phantom')
