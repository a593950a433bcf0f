"""Detection with Ray Data: :class:`Detect` for pipelines of your own, ``python -m yolo9_rs.ray`` for images to Parquet.

>>> images = ray.data.read_binary_files("s3://bucket/photos", include_paths=True)
>>> boxes = images.map_batches(Detect, fn_constructor_kwargs={"weights": "best.pt"}, concurrency=2, num_cpus=1)
>>> boxes.write_parquet("s3://bucket/boxes")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._table import SCHEMA
    from ._detect import Detect

__all__ = ["SCHEMA", "Detect"]


def __getattr__(name: str) -> Any:
    # So that the command can say what is missing.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from .._table import SCHEMA
        from ._detect import Detect
    except ImportError as error:
        raise ImportError(f"yolo9_rs.ray needs Ray ({error}): pip install 'yolo9-rs[ray]'") from error
    return {"Detect": Detect, "SCHEMA": SCHEMA}[name]
