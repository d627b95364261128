"""What ``mmdet3d-medical models`` does."""

import json
from argparse import Namespace

from rich.console import Console
from rich.table import Table

from mmdet3d_medical.packing import ModelFacts, read_model, shipped_models, voxels_of


def main(args: Namespace) -> None:
    found = [read_model(name).facts for name in shipped_models()]
    if args.json:
        print(json.dumps([facts.model_dump(exclude={'config'}) for facts in found], indent=1))
        return
    table = Table('name', 'finds', 'voxels', 'score', 'false positives a scan', 'sensitivity')
    for facts in found:
        table.add_row(*_cells(facts))
    console = Console(highlight=False)
    console.print(table)
    for facts in found:
        console.print(f'{facts.name}: {facts.summary} Measured on {facts.measured_on}.')


def _cells(facts: ModelFacts) -> list[str]:
    point = next((p for p in facts.operating_points if p.score == facts.threshold), None)
    measured = (
        ['-', '-'] if point is None else [f'{point.fp_per_scan:.2g}', f'{point.sensitivity:.2f}']
    )
    return [
        facts.name,
        ', '.join(facts.classes),
        voxels_of(facts.spacing),
        f'{facts.threshold:.2f}',
        *measured,
    ]
