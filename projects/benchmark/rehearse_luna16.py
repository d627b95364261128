"""Run all commands of docs/luna16.md in their order, on synthetic scans in the place of the data.

The commands are read from the page, a shell unrolls their loops, and each is made small, as the
constants below say. At the end the converters must have reported every irregularity of the data,
and every file that a command names must be there. Commands of the page go on where they were
interrupted, so the rehearsal does too.

Example:
    python projects/benchmark/rehearse_luna16.py work_dirs/rehearsal
"""

import argparse
import csv
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'luna16.md'
ITERS = {40000: 2}
LEFT_OUT = '--amp'  # many times slower on processors without bfloat16
# Scans in the lists, as the page has them and in the rehearsal; the files have the page's names.
SIZES = {
    'labeled': {25: 2, 50: 3, 100: 5},
    'unlabeled': {100: 3, 200: 5, 300: 7, 400: 10},
}
# What is added to commands that match: before their options of the config, and to these.
SMALL = {
    'train ': ('--shrink', 'train_cfg.max_iters=2'),
    'test ': ('--shrink', ''),
    'cross-validate ': ('--shrink', 'train_cfg.max_iters=2'),
    'cross-validate (?!configs/retina3d/)': ('--folds 0', ''),  # the base model does all
    'make-splits ': (
        ' '.join(f'--{kind} {" ".join(map(str, sizes.values()))}' for kind, sizes in SIZES.items()),
        '',
    ),
}
COMMAND = 'mmdet3d-medical'
FILE_OPTIONS = ('--out', '--json', '--plot', '--errors')
# What the shell calls in the place of Python and of the command.
LIST = ''.join(f'{name}() {{ printf "%q " {name} "$@"; echo; }}\n' for name in ('python', COMMAND))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'out',
        nargs='?',
        type=Path,
        default=Path('work_dirs/rehearsal'),
        metavar='DIR',
        help='where to (default: %(default)s)',
    )
    parser.add_argument('--list', action='store_true', help='print the commands and run nothing')
    return parser.parse_args()


def script_of(page: Path) -> str:
    """All shell blocks of a page."""
    return '\n'.join(re.findall(r'^```bash\n(.*?)^```', page.read_text(), re.DOTALL | re.MULTILINE))


def commands_of(page: Path, folder: Path) -> list[list[str]]:
    """Each call of Python or of the command in a page's shell blocks; none is run."""
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', LIST + script_of(page)],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [shlex.split(line) for line in done.stdout.splitlines()]


def make_small(command: list[str]) -> list[str]:
    """A command of the page as the rehearsal runs it."""
    text = shlex.join(command[1:])
    added = [more for pattern, more in SMALL.items() if re.match(pattern, text)]
    for iters, fewer in ITERS.items():
        command = [word.replace(f'iter_{iters}.', f'iter_{fewer}.') for word in command]
    kept = [word for word in command if word != LEFT_OUT]
    options = [option for _, option in added if option]
    if '--cfg-options' in kept:
        place = kept.index('--cfg-options')
        kept, options = kept[:place], [*kept[place + 1 :], *options]
    flags = shlex.split(' '.join(flag for flag, _ in added))
    return [*kept, *flags, *['--cfg-options'] * bool(options), *options]


def run_small(command: list[str], out: Path) -> int:
    """Run a command of the page, made small, and note it in rehearsal.log; its exit status."""
    start, log, small = time.monotonic(), out / 'rehearsal.log', make_small(command)
    with log.open('a') as file:
        print('$', shlex.join(small), file=file, flush=True)
        code = subprocess.run(
            runnable(small),
            cwd=out,
            stdout=file,
            stderr=file,
            env={**os.environ, 'COLUMNS': '120'},
        ).returncode
    print(f'{time.monotonic() - start:4.0f} s  {shlex.join(command)}', flush=True)
    if code == 0 and command[1] == 'make-splits':
        _rename_lists(out / Path(command[2]).parent / 'splits')
    return code


def runnable(command: list[str]) -> list[str]:
    """A command of the page with the Python of this process."""
    module = ['-m', 'mmdet3d_medical'] if command[0] == COMMAND else []
    return [sys.executable, *module, *command[1:]]


def _rename_lists(folder: Path) -> None:
    for kind, sizes in SIZES.items():
        for size, fewer in sorted(sizes.items()):
            (folder / f'{kind}_{fewer}.txt').rename(folder / f'{kind}_{size}.txt')


def prepare(out: Path) -> None:
    """A folder like a checkout, with phantoms as the data."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ('configs', 'tools'):
        if not (out / name).exists():
            (out / name).symlink_to(ROOT / name, target_is_directory=True)
    if not (out / 'data' / 'expected.json').is_file():
        subprocess.run(runnable([COMMAND, 'make-phantom-download', str(out / 'data')]), check=True)


def problems_of(out: Path, commands: list[list[str]]) -> list[str]:
    """What the commands did not do that they should have."""
    expected = json.loads((out / 'data' / 'expected.json').read_text())
    listed = lists_in((out / 'rehearsal.log').read_text())
    problems = [
        f'convert-luna16 has not reported {name} among: {title}'
        for title, names in expected['luna16'].items()
        for name in names
        if not any(name in lines for head, lines in listed.items() if title in head)
    ]
    with (out / 'data' / 'nlst' / 'report.csv').open(newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['seriesuid']]
    results = Counter(row['result'] for row in rows)
    if results != expected['nlst']['results']:
        problems.append(
            f'convert-dicom: expected {expected["nlst"]["results"]} series, found {dict(results)}'
        )
    problems += [
        f'convert-dicom: no series is left out for {reason}'
        for reason in expected['nlst']['reasons']
        if reason not in {row['reason'] for row in rows}
    ]
    return problems + [
        f'{name} is missing after: {shlex.join(command)}'
        for command in commands
        for option, name in zip(command, command[1:], strict=False)
        if option in FILE_OPTIONS and not (out / name).exists()
    ]


def lists_in(log: str) -> dict[str, set[str]]:
    """First words of the indented lines below each heading of a converter's reports."""
    found = re.findall(r'^\d+ (.*):\n((?:  .*\n)+)', log, re.MULTILINE)
    return {
        head: {line.split()[0].strip(':') for line in lines.splitlines()} for head, lines in found
    }


def main() -> int:
    args = parse_args()
    if args.list:
        print(*(shlex.join(words) for words in commands_of(PAGE, ROOT)), sep='\n')
        return 0
    prepare(args.out)
    commands, log = commands_of(PAGE, args.out), args.out / 'rehearsal.log'
    for command in commands:
        code = run_small(command, args.out)
        if code:
            print(*log.read_text().splitlines()[-20:], f'exit status {code}, see {log}', sep='\n')
            return 1
    problems = problems_of(args.out, commands)
    print(*problems or [f'{len(commands)} commands ran; {log} has all that they print'], sep='\n')
    return bool(problems)


if __name__ == '__main__':
    sys.exit(main())
