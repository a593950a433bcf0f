"""Results of many images as a table of Arrow, which Parquet, Ray and Spark share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ._detections import Detections

_DETECTION = pa.struct(
    [
        pa.field("class_id", pa.int32(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),
        pa.field("x1", pa.float32(), nullable=False),
        pa.field("y1", pa.float32(), nullable=False),
        pa.field("x2", pa.float32(), nullable=False),
        pa.field("y2", pa.float32(), nullable=False),
    ]
)

SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("detections", pa.list_(pa.field("element", _DETECTION, nullable=False))),
        pa.field("error", pa.string()),
    ]
)
"""One row per image. ``width`` and ``height`` are those of the image, upright. ``detections`` are by falling confidence, with
boxes in pixels of the image, and empty where nothing was found. Where ``error`` says why an image has no result, the three
are null."""


@dataclass(frozen=True)
class Row:
    """What became of an image: its detections, or the reason why it has none."""

    path: str
    outcome: Detections | str


def to_table(rows: Iterable[Row]) -> pa.Table:
    """The rows as a table of :data:`SCHEMA`. Numbers are those of the detector, to the bit."""
    rows = list(rows)
    found = [row.outcome if isinstance(row.outcome, Detections) else None for row in rows]
    there = [detections for detections in found if detections is not None]
    boxes = _joined([detections.xyxy for detections in there], np.zeros((0, 4), np.float32))
    children = [
        pa.array(_joined([detections.class_id for detections in there], np.zeros(0, np.int64)).astype(np.int32)),
        pa.array([name for detections in there for name in detections.names.tolist()], pa.string()),
        pa.array(_joined([detections.confidence for detections in there], np.zeros(0, np.float32))),
        *(pa.array(np.ascontiguousarray(boxes[:, edge])) for edge in range(4)),
    ]
    lengths = np.array([0 if detections is None else len(detections) for detections in found], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(
        pa.array(offsets),
        pa.StructArray.from_arrays(children, fields=list(_DETECTION)),
        type=SCHEMA.field("detections").type,
        mask=pa.array([detections is None for detections in found], pa.bool_()),
    )
    columns = [
        pa.array([row.path for row in rows], pa.string()),
        pa.array([None if detections is None else detections.image_shape[1] for detections in found], pa.int32()),
        pa.array([None if detections is None else detections.image_shape[0] for detections in found], pa.int32()),
        lists,
        pa.array([row.outcome if isinstance(row.outcome, str) else None for row in rows], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _joined(arrays: list[NDArray[Any]], empty: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else empty
