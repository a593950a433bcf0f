"""Detectors for Spark."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from .._detector import Detector
from .._table import to_table
from .._work import READERS, Model, detect_rows, read_later

SPARK_SCHEMA = (
    "path string not null, width int, height int, "
    "detections array<struct<class_id int, name string, confidence float, x1 float, y1 float, x2 float, y2 float>>, "
    "error string"
)
""":data:`yolo9_rs.ray.SCHEMA`, as Spark writes it."""

ArrowFunction = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_OPENED: dict[str, Detector] = {}
"""Of this Python worker, which Spark uses for one task after another."""


def detect_in_arrow(weights: str | os.PathLike[str] | None = None, *, readers: int = READERS, **options: Any) -> ArrowFunction:
    """A function for ``mapInArrow``: images in, rows of :data:`SPARK_SCHEMA` out, one for each image in its order.

    The batches have a column ``path``, and ``content`` if the images are there already, as rows of ``binaryFile``; else
    paths are read from wherever they are. Further columns do not matter. An image that cannot be read gets a row with an
    ``error``. Weights are read where this function is called, and travel with it.

    Args:
        weights: As for :class:`yolo9_rs.Detector`, or a file in an object store.
        readers: Threads of a task that read and decode images.
        options: Further keywords of :class:`yolo9_rs.Detector`; ``threads`` is 1 unless given, a core of a task.
    """
    options.setdefault("threads", 1)
    return _function(Model.load(None if weights is None else os.fspath(weights), options), readers)


def opened(model: Model, **overrides: Any) -> Detector:
    """The detector of this Python worker."""
    key = repr((model.settings, model.options, overrides))
    if key not in _OPENED:
        _OPENED.clear()
        _OPENED[key] = model.open(**overrides)
    return _OPENED[key]


def _function(model: Model, readers: int) -> ArrowFunction:
    def detect(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        detector = opened(model)
        for batch in batches:
            paths = batch.column("path").to_pylist()
            if "content" in batch.schema.names:
                named: Iterable[Any] = zip(paths, batch.column("content").to_pylist())
            else:
                named = map(read_later, paths)
            yield from to_table(detect_rows(detector, named, readers)).combine_chunks().to_batches()

    return detect
