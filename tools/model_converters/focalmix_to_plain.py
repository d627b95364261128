"""The same as ``mmdet3d-medical focalmix-to-plain``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('focalmix-to-plain')
