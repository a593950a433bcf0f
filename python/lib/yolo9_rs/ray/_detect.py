"""Detectors for Ray Data."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from .._detector import Detector
from .._table import to_table
from .._work import READERS, detect_rows, read_later


class Detect:
    """For ``Dataset.map_batches``: images in, a table of :data:`SCHEMA` out, one row for each image in its order.

    A batch has the column ``path``, which is read from wherever it is, or ``bytes`` of image files, with or without
    ``path``, as ``ray.data.read_binary_files(…, include_paths=True)`` gives them. An image that cannot be read gets a row
    with an ``error``. Each actor has one detector with as many threads as ``num_cpus`` of ``map_batches``.

    Args:
        weights: As for :class:`yolo9_rs.Detector`; a file that every worker can read.
        readers: Threads that read and decode images.
        options: Further keywords of :class:`yolo9_rs.Detector`.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None, *, readers: int = READERS, **options: Any) -> None:
        options.setdefault("threads", _granted())
        self._detector = Detector(weights, **options)
        self._readers = readers

    def __call__(self, batch: dict[str, NDArray[Any]]) -> pa.Table:
        if "bytes" in batch:
            paths = batch["path"] if "path" in batch else np.full(len(batch["bytes"]), "")
            named = ((str(path), bytes(content)) for path, content in zip(paths, batch["bytes"]))
            return to_table(detect_rows(self._detector, named, self._readers))
        if "path" not in batch:
            raise ValueError(f"a batch with the columns {', '.join(batch)}; expected path, bytes, or both")
        return to_table(detect_rows(self._detector, map(read_later, map(str, batch["path"])), self._readers))


def _granted() -> int:
    """The CPUs that Ray gave this actor, at least 1."""
    resources = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
    return max(1, int(resources.get("CPU", 1)))
