"""Write the table of detectors in docs/systems.md: what they cost and how well they find nodules.

A system is a config for LUNA16 in the metafiles that is not FocalMix around another one. Costs are
counted on torch's meta device (mmdet3d_medical/utils/cost.py), which takes seconds; published
scores come from systems.yml here, those on phantoms from the study's table phantoms/systems.yml,
times from step_times.json, where --measure puts them.

Example:
    python projects/benchmark/list_systems.py
    python projects/benchmark/list_systems.py --measure fpn3d s4nd
"""

import argparse
import json
import time
from pathlib import Path

import torch
import yaml
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from study.results import Results
from study.table import read_table, runs_of
from torch import nn

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils.cost import forward_cost, input_channels, training_cost
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / 'docs/systems.md'
SCORES = HERE / 'systems.yml'
BENCHMARK = HERE / 'phantoms/systems.yml'
TIMES = HERE / 'step_times.json'
BEGIN, END = '<!-- systems -->\n', '<!-- end of systems -->\n'
DATA = '_luna16'
PATCH = (128, 128, 128)  # voxels
LESION = (60.0, 60.0, 60.0, 68.0, 68.0, 68.0)  # in the patch of a measured step
MILLION, GIGA = 1e6, 1e9
COLUMNS = ('system', 'parameters, M', 'GFLOP', 'GB, forward', 'GB, training', 'core s a step',
           'published CPM', 'phantom CPM', 'phantom CPM, FocalMix')  # fmt: skip


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--measure',
        nargs='*',
        metavar='SYSTEM',
        help='also run a training step of these on one CPU core and keep its time '
        '(without names: of all)',
    )
    return parser.parse_args()  # fmt: skip


def listed_configs() -> dict[str, Path]:
    """Configs in the metafiles, by name."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    metafiles = [yaml.safe_load((ROOT / path).read_text()) for path in index['Import']]
    return {
        model['Name']: ROOT / model['Config']
        for metafile in metafiles
        for model in metafile['Models']
    }


def systems(configs: dict[str, Path]) -> dict[str, Path]:
    """Supervised configs for LUNA16, by their names without it."""
    return {
        name.removesuffix(DATA): path
        for name, path in configs.items()
        if name.endswith(DATA) and not name.startswith('focalmix')
    }


def build(config: Path) -> nn.Module:
    cfg = load_config(str(config))
    init_default_scope(cfg.get('default_scope', 'mmdet3d_medical'))
    return MODELS.build(cfg.model)


def input_shape(detector: nn.Module) -> tuple[int, ...]:
    """Of one patch: the image and, where the detector is told it, its location."""
    return (1, input_channels(detector), *PATCH)


def size(detector: nn.Module) -> list[str]:
    """Parameters, and FLOPs of a forward pass."""
    parameters = sum(weight.numel() for weight in detector.parameters())
    flops = forward_cost(detector, input_shape(detector)).flops
    return [f'{parameters / MILLION:.2f}', f'{flops / GIGA:.0f}']


def memory(detector: nn.Module) -> list[str]:
    """Most bytes in a forward pass, and in one with a backward pass."""
    passes = (count(detector, input_shape(detector)) for count in (forward_cost, training_cost))
    return [f'{cost.peak / GIGA:.2f}' for cost in passes]


def step_seconds(detector: nn.Module) -> float:
    """CPU time of one thread for a training step: forward pass, targets, losses, backward pass.

    CPU time, not time by the clock, so that other processes hardly matter.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    lesion = InstanceData(bboxes=torch.tensor([LESION]), labels=torch.zeros(1, dtype=torch.long))
    inputs, sample = torch.randn(input_shape(detector)), DetDataSample(gt_instances=lesion)
    start = time.process_time()
    sum(detector.train().loss(inputs, [sample]).values()).backward()
    return time.process_time() - start


def measure(chosen: dict[str, Path]) -> None:
    """Add to the file of times, after each so that what was measured is kept."""
    for name, config in chosen.items():
        times = known_times()
        times[name] = round(step_seconds(build(config)), 1)
        print(f'{name}: {times[name]} s', flush=True)
        write_text(TIMES, json.dumps(times, indent=2, sort_keys=True) + '\n')


def known_times() -> dict[str, float]:
    return json.loads(TIMES.read_text()) if TIMES.is_file() else {}


def row(name: str, config: Path, others: dict[str, Path]) -> str:
    """A line of the table; ``others`` are all listed configs, which tell what can be trained."""
    detector, published = build(config), yaml.safe_load(SCORES.read_text()).get(name)
    phantom = [
        score_cell(phantom_cpm(run), f'{name}_phantom' in others)
        for run in (name, f'focalmix_{name}')
    ]
    cells = [
        f'`{name}`',
        *size(detector),
        *memory(detector),
        str(known_times().get(name, 'not measured')),
        f'{published["cpm"]:.3f} ({published["source"]})' if published else '',
        *phantom,
    ]
    return f'| {" | ".join(cells)} |'


def phantom_cpm(name: str) -> float | None:
    """Of the benchmark's first seed, which every trained row has; None if not run or failed."""
    table = read_table(BENCHMARK)
    if name not in table.rows:
        return None
    (run,) = runs_of(table, [name], table.seeds[:1])
    result = Results(BENCHMARK.with_name('results')).find(run)
    return result.get('cpm') if result else None


def score_cell(cpm: float | None, has_config: bool) -> str:
    if not has_config:
        return 'no config'
    return 'not trained' if cpm is None else f'{cpm:.3f}'


def write_page(rows: list[str]) -> None:
    """Put the table in its place on the page, which says the rest."""
    head = [f'| {" | ".join(COLUMNS)} |', '|---' * len(COLUMNS) + '|']
    before, rest = PAGE.read_text(encoding='utf-8').split(BEGIN)
    after = rest.split(END)[1]
    write_text(PAGE, before + BEGIN + '\n'.join([*head, *rows]) + '\n' + END + after)


def main() -> None:
    args = parse_args()
    configs = listed_configs()
    known = systems(configs)
    if args.measure is not None:
        unknown = set(args.measure) - set(known)
        if unknown:
            raise UsageError(
                f'There is no system {", ".join(sorted(unknown))}: choose from {", ".join(known)}.'
            )
        measure({name: known[name] for name in args.measure or known})
    write_page([row(name, config, configs) for name, config in known.items()])
    print(f'{PAGE.relative_to(ROOT)}: {len(known)} systems')


if __name__ == '__main__':
    run_tool(main)
