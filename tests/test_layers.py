"""The library knows nothing of the study that is made with it."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
STUDY = {
    path.stem
    for path in (ROOT / 'projects/benchmark').iterdir()
    if path.suffix == '.py' or (path / '__init__.py').is_file()
}


def imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding='utf-8'))))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    parts = {
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    return {name.partition('.')[0] for name in plain | parts}


def test_nothing_in_the_library_imports_the_study():
    assert {'study', 'reproduce', 'benchmark'} <= STUDY
    files = [*ROOT.glob('mmdet3d_medical/**/*.py'), *ROOT.glob('tools/**/*.py')]
    wrong = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if imported(path) & (STUDY | {'projects'}) and '.mim' not in path.parts
    }
    assert len(files) > 100 and not wrong
