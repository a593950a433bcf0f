"""``python -m yolo9_rs.ray``: images from disk or object stores to Parquet, on a Ray cluster."""

from __future__ import annotations

import sys

from ._command import main

if __name__ == "__main__":
    sys.exit(main())
