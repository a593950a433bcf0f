"""``python -m yolo9_rs.spark``, or this file for ``spark-submit``: images from disk or object stores to Parquet, on Spark."""

from __future__ import annotations

import sys

from yolo9_rs.spark._command import main

if __name__ == "__main__":
    sys.exit(main())
