"""Commands of the program as functions that return plain data.

Each takes the options of its command as keywords, with underscores: ``count_conf=0.5`` is ``--count-conf 0.5``, True a flag,
a list several values. What a command says on the way goes to the logger ``yolo9``. They run in a process of their own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, Union

from ._program import arguments, run

_Path: TypeAlias = Union[str, "os.PathLike[str]"]


def info(model: _Path, other: _Path | None = None, **options: Any) -> dict[str, Any]:
    """What a model file or config is: layers, shapes, parameters, GFLOPs; of two, what differs. As ``yolo9 info --json``."""
    models = [os.fspath(path) for path in (model, other) if path is not None]
    return _object(run("info", ["--json", *arguments(options), "--", *models]))


def val(data: _Path, weights: _Path | None = None, **options: Any) -> dict[str, Any]:
    """The scores of a model on a labelled dataset, a data YAML or COCO annotations: AP of COCO and of the training codes,
    by class, and counts. As ``yolo9 val --json``; docs/output-formats.md has the keys."""
    return _object(run("val", arguments({"data": data, "weights": weights, "json": "-", **options})))


def compare(a: _Path, b: _Path, *others: _Path, **options: Any) -> dict[str, Any]:
    """What differs between models: boxes, accuracy (with ``data``), size and time. As ``yolo9 compare --json``."""
    sides = [os.fspath(side) for side in (a, b, *others)]
    return _object(run("compare", [*arguments({"json": "-", **options}), "--", *sides]))


def export(weights: _Path, output: _Path | None = None, **options: Any) -> dict[str, Any]:
    """Writes a network as an ONNX file for other runtimes, and says what it is: its ``path``, and what :func:`info` says.

    Without ``output``, the file has the name of the input and is in the working folder. An existing file is replaced with
    ``exist_ok=True`` only.
    """
    path = Path(Path(weights).name).with_suffix(".onnx") if output is None else Path(output)
    run("export", [*arguments({"output": path, **options}), "--", os.fspath(weights)])
    return {"path": str(path), **info(path)}


def quantize(weights: _Path, images: Sequence[_Path] | _Path, output: _Path | None = None, **options: Any) -> dict[str, Any]:
    """Writes a network on 8-bit integers, calibrated on images, and says what that changed. As ``yolo9 quantize --json``."""
    sources = [images] if isinstance(images, (str, os.PathLike)) else list(images)
    given = arguments({"images": sources, "output": output, "json": True, **options})
    return _object(run("quantize", [*given, "--", os.fspath(weights)]))


def _object(printed: str) -> dict[str, Any]:
    try:
        value = json.loads(printed)
    except ValueError as error:
        raise ValueError("json: results are returned, not written to a file; leave it out") from error
    if not isinstance(value, dict):
        raise TypeError(f"yolo9 printed a {type(value).__name__}; expected an object")
    return value
