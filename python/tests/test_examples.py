"""The examples run and say what they should."""

from __future__ import annotations

import collections
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PARCELS, REPOSITORY, SAMPLE, by_program


def example(name: str, *words: str) -> str:
    line = [sys.executable, str(REPOSITORY / "examples/python" / name), *words]
    return subprocess.run(line, check=True, capture_output=True, text=True, timeout=300).stdout


def test_one_image(tmp_path: Path) -> None:
    assert "aztec 0.96" in example("detect.py", str(SAMPLE), str(tmp_path / "drawn.png"))
    assert (tmp_path / "drawn.png").stat().st_size > 100_000


def test_a_folder(tmp_path: Path) -> None:
    printed = example("folder.py", str(PARCELS[0].parent), str(tmp_path / "results.json"))
    assert len(printed.splitlines()) == len(PARCELS) and "covered" in printed
    assert json.loads((tmp_path / "results.json").read_text())[0].keys() == {"image_id", "category_id", "bbox", "score"}


@pytest.mark.parametrize("engine", ["ray", "spark"])
def test_engines(engine: str) -> None:
    pytest.importorskip("ray" if engine == "ray" else "pyspark")
    found = by_program(PARCELS[0].parent, options="--conf 0.4")
    expected = collections.Counter(box["name"] for image in found for box in image["detections"])
    printed = example(f"with_{engine}.py", str(PARCELS[0].parent))
    # Ray forwards messages of its own processes to stdout, now and then.
    counts = {name: int(count) for name, count in re.findall(r"^(\w+): (\d+)$", printed, re.MULTILINE)}
    assert counts == expected, printed
