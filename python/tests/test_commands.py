"""Commands of the program as functions."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PARCELS, REPOSITORY, SAMPLE, SIZE

import yolo9_rs

DATA = REPOSITORY / "models/parcels/data.yaml"


def test_info_describes_and_compares() -> None:
    about = yolo9_rs.info("codes-dysample", imgsz=(320, 480))
    assert about["classes"] == 6 and about["names"][0] == "qr"
    assert yolo9_rs.info("codes-dysample", "codes-nearest") != about


def test_val_and_compare_give_numbers(caplog: pytest.LogCaptureFixture) -> None:
    scores = yolo9_rs.val(DATA, imgsz=SIZE, count_conf=0.3)
    assert 0 < scores["coco"]["AP50"] <= 1 and scores["counts"]["confidence"] == pytest.approx(0.3)
    with caplog.at_level(logging.INFO, "yolo9"):
        compared = yolo9_rs.compare("codes-nearest", "codes-dysample", source=PARCELS[:2], imgsz=SIZE, runs=3)
    assert len(compared["sides"]) == 2 and compared["verdict"]
    assert any("Model codes-nearest" in record.message for record in caplog.records)


def test_export_and_quantize_write_files(tmp_path: Path) -> None:
    path = tmp_path / "a b.onnx"
    exported = yolo9_rs.export("codes-dysample", path, imgsz=SIZE)
    assert exported["path"] == str(path) and exported["names"][0] == "qr"
    with pytest.raises(yolo9_rs.CommandError, match="exists.*exist_ok") as refused:
        yolo9_rs.export("codes-dysample", path)
    assert refused.value.exit_code == 1 and pickle.loads(pickle.dumps(refused.value)).exit_code == 1
    assert len(yolo9_rs.Detector(path).detect(SAMPLE).class_names) == 6
    quantised = yolo9_rs.quantize("codes-dysample", PARCELS[:2], tmp_path / "q.onnx", imgsz=SIZE, sensitivity=0)
    assert quantised["effect"]["boxes"].keys() >= {"f32", "same", "lost", "new"} and len(quantised["file"]["int8"]) > 100


def test_errors_are_exceptions_by_kind(tmp_path: Path) -> None:
    with pytest.raises(yolo9_rs.CheckpointError, match=r"none\.pt"):
        yolo9_rs.info("none.pt")
    with pytest.raises(yolo9_rs.DatasetError, match=r"none\.yaml"):
        yolo9_rs.val("none.yaml")
    with pytest.raises(ValueError, match="nonsense"):
        yolo9_rs.val(DATA, nonsense=1)
    config = (REPOSITORY / "configs/yolov9-t.yaml").read_text().replace("SPPELAN", "SPPELAM")
    (tmp_path / "typo.yaml").write_text(config)
    with pytest.raises(yolo9_rs.ConfigError, match="SPPELAM.*did you mean"):
        yolo9_rs.info(tmp_path / "typo.yaml")


def test_the_module_is_the_program() -> None:
    words = [sys.executable, "-m", "yolo9_rs", "detect", str(SAMPLE), "--no-draw", "--json", "-"]
    ended = subprocess.run(words, check=True, capture_output=True, text=True)
    assert len(json.loads(ended.stdout)[0]["detections"]) == 23


def test_a_library_that_cannot_be_loaded_is_named() -> None:
    # In a process of its own: one loads one library.
    script = "import yolo9_rs\ntry: yolo9_rs.Detector(onnxruntime='/none.so')\nexcept yolo9_rs.OnnxRuntimeError as e: print(e)"
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "/none.so" in ended.stdout


def test_types_are_right() -> None:
    mypy = pytest.importorskip("mypy.api")
    folder = REPOSITORY / "python"
    words = ["--config-file", str(folder / "pyproject.toml"), str(folder / "lib/yolo9_rs"), str(folder / "tests")]
    printed, _, code = mypy.run(words)
    assert code == 0, printed
