"""What detections can become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import PARCELS, SAMPLE, by_program

import yolo9_rs


def test_boxes_one_by_one(detector: yolo9_rs.Detector) -> None:
    found = detector.detect(SAMPLE)
    boxes = list(found)
    assert len(boxes) == len(found) == 23
    assert boxes[0].name == found.names[0] and boxes[0].xyxy == tuple(found.xyxy[0].tolist())
    assert [box.confidence for box in boxes] == sorted((box.confidence for box in boxes), reverse=True)
    assert found.timing.inference > 0


def test_nothing_found_is_empty(detector: yolo9_rs.Detector) -> None:
    found = detector.detect(np.zeros((64, 64, 3), np.uint8))
    assert found.xyxy.shape == (0, 4) and found.names.shape == (0,) and list(found) == [] and found.to_coco() == []
    assert len(found.to_supervision()) == 0 and found.plot().shape == (64, 64, 3)


def test_coco_results_are_those_of_the_program(detector: yolo9_rs.Detector, tmp_path: Path) -> None:
    by_program(SAMPLE, options=f"--coco {tmp_path / 'coco.json'}")
    import json

    expected = json.loads((tmp_path / "coco.json").read_text())
    for entry in expected:
        del entry["file_name"]
    assert detector.detect(SAMPLE).to_coco("sample-parcels") == expected


def test_supervision_gets_names(detector: yolo9_rs.Detector) -> None:
    found = detector.detect(SAMPLE)
    converted = found.to_supervision()
    assert list(converted.data["class_name"]) == found.names.tolist()
    assert np.array_equal(converted.xyxy, found.xyxy) and len(converted) == 23


def test_boxes_are_drawn(detector: yolo9_rs.Detector) -> None:
    image = yolo9_rs.read_image(SAMPLE)
    before = image.copy()
    found = detector.detect(image)
    drawn = found.plot()
    assert np.array_equal(image, before), "the image itself is not drawn on"
    assert (drawn != image).any(axis=2).mean() > 0.005
    assert np.array_equal(drawn, detector.detect(SAMPLE).plot())
    thin = found.plot(line_width=1, labels=False)
    assert 0 < (thin != image).any(axis=2).sum() < (drawn != image).any(axis=2).sum()
    assert found.plot(PARCELS[0]).shape == yolo9_rs.read_image(PARCELS[0]).shape
