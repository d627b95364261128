"""What each subcommand takes. Nothing heavy is imported here, see :mod:`mmdet3d_medical.cli`."""
