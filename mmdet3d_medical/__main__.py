"""``python -m mmdet3d_medical`` is the command ``mmdet3d-medical``."""

from .cli import main

if __name__ == '__main__':
    main()
