"""The command. Spark gives out lists of paths; each becomes one file, written by whoever detected it."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

try:
    import pyarrow as pa
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    from .._storage import locate
    from .._work import Model, Parser, Run, add_options, ended, start, work_part
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

_COUNTS = "images int, errors int, detections int"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit codes are the program's."""
    if MISSING is not None:
        print(f"error: yolo9_rs.spark needs Spark ({MISSING}): pip install 'yolo9-rs[spark]'", file=sys.stderr)
        return 1
    given = _parser().parse_args(arguments)
    try:
        return ended(_run, given)
    except (PySparkException, Py4JJavaError) as error:
        print(f"error: Spark: {_reason(error)}", file=sys.stderr)
        return 1


def _parser() -> Parser:
    parser = Parser(
        prog="python -m yolo9_rs.spark",
        description="Detect objects in images from disk or object stores on Spark, and write Parquet files.",
        epilog="A row has path, width, height, detections (class_id, name, confidence, x1, y1, x2, y2) and error. Exit codes: "
        "0 done, 1 usage or model error, 2 some images failed, 3 no image found, 130 interrupted. With spark-submit, give "
        "the file yolo9_rs/spark/__main__.py of this installation.",
    )
    add_options(parser)
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument("--master", help="local[2], spark://host:port, yarn, k8s://… [as Spark is configured, else local[*]]")
    return parser


def _run(given: argparse.Namespace) -> int:
    run = start(given)
    if isinstance(run, int):
        return run
    builder = SparkSession.builder.appName("yolo9")
    # One list of paths at a time, so that a row of counts comes back as soon as its file is there.
    builder = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", "1").config("spark.ui.showConsoleProgress", "false")
    if given.master:
        builder = builder.master(given.master)
    # Else Spark starts whatever `python3` is.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("FATAL")
    try:
        return _detect(spark, given, run)
    finally:
        spark.stop()


def _detect(spark: Any, given: argparse.Namespace, run: Run) -> int:
    frame = spark.createDataFrame([(paths,) for paths in run.lists], "paths array<string>").repartitionByRange(len(run.lists), "paths")
    counts = frame.mapInArrow(_worker(run.model, str(locate(given.out)), given.readers), _COUNTS)
    total = run.images
    run.progress.begin(total, f"{total} images in {len(run.lists)} files, {spark.sparkContext.defaultParallelism} tasks at a time")
    with ThreadPoolExecutor(1) as pool:
        collected = pool.submit(counts.collect)
        while not wait([collected], timeout=1).done:
            run.progress.reach(min(total, given.part_size * _tasks_done(spark)))
    rows = collected.result()
    failed, detections = (sum(row[name] for row in rows) for name in ("errors", "detections"))
    run.progress.reach(total)
    return run.end(failed, detections, given.out)


def _tasks_done(spark: Any) -> int:
    """Each is a file."""
    tracker = spark.sparkContext.statusTracker()
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    return sum(stage.numCompletedTasks for stage in stages if stage is not None)


def _worker(model: Model, out: str, readers: int) -> Any:
    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from yolo9_rs.spark._detect import opened

        schema = pa.schema([(name, pa.int32()) for name in ("images", "errors", "detections")])
        for batch in batches:
            for paths in batch.column("paths").to_pylist():
                # A task has a core. What fails is tried again by Spark, elsewhere.
                counts = work_part(opened(model, threads=1), model, paths, out, readers)
                yield pa.RecordBatch.from_pylist([counts], schema)

    return work


def _reason(error: BaseException) -> str:
    """What the worker said, out of the stacks of Java and Python around it."""
    text = str(error)
    raised = re.search(r"^\s*((?:\w+\.)*(?:\w+Error|\w+Exception)): (.+)$", text, re.MULTILINE)
    if raised is None:
        return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    if raised[1] == "ModuleNotFoundError":
        return f"{raised[2]} on a worker: install yolo9-rs there, and name its Python with PYSPARK_PYTHON"
    return raised[2] if raised[1].startswith("yolo9_rs.") else raised[0].strip()


__all__ = ["main"]
