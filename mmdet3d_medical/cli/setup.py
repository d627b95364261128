"""The set-up of commands that start several runs."""

from argparse import Namespace

from mmdet3d_medical.apis.setup import Setup


def setup_of(args: Namespace) -> Setup:
    """How the runs are started that a command with these options asks for."""
    return Setup(
        args.config,
        args.cfg_options or {},
        tuple(args.semi),
        shrink=args.shrink,
        amp=args.amp,
        seed=args.seed,
        processes=args.processes,
        trust=args.trust_checkpoint,
    )
