"""What ``mmdet3d-medical export`` does."""

import json
from argparse import Namespace
from pathlib import Path

from mmdet3d_medical.deploy import Network, save_network
from mmdet3d_medical.packing import read_model
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import check_writable, write_json
from mmdet3d_medical.version import __version__

from .options.export import SUFFIXES


def main(args: Namespace) -> None:
    suffix = SUFFIXES[args.kind]
    folder = read_model(args.model)
    out = args.out or Path(f'{folder.facts.name}{suffix}')
    if out.suffix != suffix:
        raise UsageError(f'-o {out}: a file of --to {args.kind} ends in {suffix}')
    check_writable(out)
    register_all_modules()
    network = Network(folder.facts.config, folder.weights())
    files = save_network(network, args.kind, out)
    description = out.with_suffix('.json')
    facts = json.loads(folder.facts.model_dump_json())
    write_json(description, {**network.describe(), 'made_by': __version__, 'model': facts})
    print(f'{" ".join(map(str, [*files, description]))}: the network of {folder.facts.name}')
