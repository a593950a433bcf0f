"""Detection with Spark: :func:`detect_in_arrow` for ``DataFrame.mapInArrow``, ``python -m yolo9_rs.spark`` for images to
Parquet.

>>> images = spark.read.format("binaryFile").load("photos")
>>> boxes = images.mapInArrow(detect_in_arrow("best.pt", conf=0.4), SPARK_SCHEMA)
>>> boxes.write.parquet("boxes")

``binaryFile`` keeps whole files in Arrow batches: lower ``spark.sql.execution.arrow.maxRecordsPerBatch`` (10,000) to some
tens first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._table import SCHEMA
    from ._detect import SPARK_SCHEMA, detect_in_arrow

__all__ = ["SCHEMA", "SPARK_SCHEMA", "detect_in_arrow"]


def __getattr__(name: str) -> Any:
    # So that the command can say what is missing.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from .._table import SCHEMA
        from ._detect import SPARK_SCHEMA, detect_in_arrow
    except ImportError as error:
        raise ImportError(f"yolo9_rs.spark needs pyarrow ({error}): pip install 'yolo9-rs[spark]'") from error
    return {"SCHEMA": SCHEMA, "SPARK_SCHEMA": SPARK_SCHEMA, "detect_in_arrow": detect_in_arrow}[name]
