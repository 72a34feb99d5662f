"""Does `chromeprep simulate` speak and fail as the other commands do?"""

from __future__ import annotations

import subprocess
import sys

import pytest


def chromeprep(*arguments):
    return subprocess.run(
        [sys.executable, "-c", "from chromeprep.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_writes_a_world(tmp_path):
    done = chromeprep("simulate", "-o", tmp_path / "w", "--genes", 60, "--cell-types", "A,B")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "60 protein-coding genes" in done.stderr
    assert "\r" not in done.stderr  # no progress where nobody looks
    assert (tmp_path / "w" / "B-H3K9me3.bw").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cell-types", "A,A"], "named twice"),
        (["--cell-types", "A,"], "empty name"),
        (["--cell-types", "A/B"], "'A/B' cannot name a cell type"),
        (["--genes", "0"], "0 is not in the range"),
        (["--seed", "-1"], "-1 is not in the range"),
    ],
)
def test_a_wrong_command_line_is_2(tmp_path, arguments, message):
    done = chromeprep("simulate", "-o", tmp_path / "w", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_1(tmp_path):
    (tmp_path / "w").mkdir()
    done = chromeprep("simulate", "-o", tmp_path / "w")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 2
    assert "exists already" in done.stderr


def test_help_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from chromeprep.cli.simulate import simulate;"
        "simulate(['--help'], standalone_mode=False);"
        "assert not {'numpy', 'pysam', 'pyBigWig'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--cell-types" in done.stdout
