"""What holds where the user says nothing: as in the papers, or as the evidence has it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chromemodel.cli._options import chosen_model

MakeFile = Callable[..., Path]
Inside = Callable[..., subprocess.CompletedProcess[str]]
QUICK = ("--set=trees=5", "--no-baseline", "-p1")


def config(run: Path) -> dict[str, Any]:
    return json.loads((run / "config.json").read_text())  # type: ignore[no-any-return]


def test_the_best_recipe(inside: Inside, make_file: MakeFile, tmp_path: Path) -> None:
    make_file("a.h5")
    make_file("b.h5", seed=1)
    done = inside("train", "a.h5", "-o", "marks", "--recipe", "best", *QUICK)
    assert done.returncode == 0, done.stderr
    found = config(tmp_path / "marks")
    assert found["model"]["name"] == "ensemble"
    assert found["model"]["options"]["trees"] == 5
    done = inside(
        "adapt", "--source=a.h5", "--target=b.h5", "-o", "adapted", "--recipe=best", *QUICK
    )
    assert done.returncode == 0, done.stderr
    found = config(tmp_path / "adapted")
    assert (found["model"]["name"], found["method"]["name"]) == ("ensemble", "source_only")
    assert chosen_model(None, "best", "regression") == "random_forest"
    assert chosen_model("tcn", "best", "regression") == "tcn"


def test_the_best_recipe_of_a_network_and_what_is_said_besides(
    inside: Inside, make_file: MakeFile, tmp_path: Path
) -> None:
    make_file("a.h5")
    said = ("--model=deepchrome.mlp", "--epochs=1", "--no-baseline", "-p1")
    for out, more in (
        ("best", ("--recipe=best",)),
        ("paper", ()),
        ("lr", ("--recipe=best", "--lr=0.01")),
    ):
        done = inside("train", "a.h5", "-o", out, *said, *more)
        assert done.returncode == 0, done.stderr
    kept = {out: config(tmp_path / out)["training"] for out in ("best", "paper", "lr")}
    assert (kept["best"]["optimizer"], kept["best"]["lr"]) == ("adam", 0.001)
    assert (kept["best"]["batch_size"], kept["best"]["epochs"]) == (64, 1)
    assert (kept["paper"]["optimizer"], kept["paper"]["batch_size"]) == ("sgd", 1)
    assert (kept["lr"]["optimizer"], kept["lr"]["lr"]) == ("adam", 0.01)
