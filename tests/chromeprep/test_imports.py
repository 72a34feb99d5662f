"""Imports point downward only: who may know whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ALLOWED = ("chromeprep.format", "chromeprep.errors", "chromeprep._version")
ALLOWED_IN_CLI = (*ALLOWED, "chromeprep.cli._shell")


def imported(path: Path, root: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, wherever in it that stands."""
    package = path.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name in ("import_module", "__import__") and node.args:
                argument = node.args[0]
                if isinstance(argument, ast.Constant):
                    yield str(argument.value)


def belongs(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_chromeprep_knows_nothing_of_chromemodel(root: Path) -> None:
    files = sorted((root / "chromeprep").rglob("*.py"))
    assert len(files) > 20
    found = {
        f"{path.relative_to(root)} imports {name}"
        for path in files
        for name in imported(path, root)
        if belongs(name, "chromemodel")
    }
    assert not found


def test_chromemodel_knows_the_format_the_errors_and_no_more(root: Path) -> None:
    files = sorted((root / "chromemodel").rglob("*.py"))
    assert files
    found = set()
    for path in files:
        in_cli = path.is_relative_to(root / "chromemodel" / "cli")
        allowed = ALLOWED_IN_CLI if in_cli else ALLOWED
        found |= {
            f"{path.relative_to(root)} imports {name}"
            for name in imported(path, root)
            if belongs(name, "chromeprep") and not any(belongs(name, entry) for entry in allowed)
        }
    assert not found


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import chromemodel", ["chromemodel"]),
        ("import chromemodel.cli as x", ["chromemodel.cli"]),
        ("from chromeprep import binning", ["chromeprep.binning"]),
        ("from .. import marks", ["a.marks"]),
        ("from ..marks import order", ["a.marks.order"]),
        ("def f():\n    from x.y import z", ["x.y.z"]),
        ("importlib.import_module('x.y')", ["x.y"]),
    ],
)
def test_the_walk_itself(tmp_path: Path, source: str, names: list[str]) -> None:
    path = tmp_path / "a" / "b" / "c.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert list(imported(path, tmp_path)) == names


HEAVY = (
    "numpy", "h5py", "pandas", "pysam", "pyBigWig", "pyranges", "torch", "sklearn", "isal", "numba",
    "matplotlib",
)  # fmt: skip


@pytest.mark.parametrize("program", ["chromeprep", "chromemodel"])
@pytest.mark.parametrize("arguments", [["--help"], ["-V"], []])
def test_help_imports_nothing_heavy(program: str, arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = [{program!r}, *{arguments!r}]
from {program}.cli import main
try:
    main()
except SystemExit:
    pass
print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command",
    ["bin", "import", "quantify", "label", "panel", "info", "validate", "export", "qc", "simulate"],
)
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    code = f"""
import sys
sys.argv = ["chromeprep", {command!r}, "--help"]
from chromeprep.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert done.stdout.startswith(f"Usage: chromeprep {command} ")
