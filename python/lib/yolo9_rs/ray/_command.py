"""The command. Each part of the images is one file, written by whoever detected it."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from .._detector import Detector
from .._errors import Yolo9Error

try:
    import ray
    import ray.data
    import ray.exceptions

    from .._storage import StorageError, locate
    from .._work import Model, Parser, Run, add_options, ended, positive, start, work_part
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None


class Worker:
    """An actor: opens the model once, then turns lists of paths into files."""

    def __init__(self, model: Any, out: str, threads: int, readers: int) -> None:
        self._reference, self._out, self._threads, self._readers = model, out, threads, readers
        self._opened: tuple[Model, Detector] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        counts = [self._part([str(path) for path in paths]) for paths in batch["paths"]]
        return {name: [count[name] for count in counts] for name in ("images", "errors", "detections", "failure")}

    def _part(self, paths: list[str]) -> dict[str, Any]:
        """What would fail for every part is said, not raised: a worker that raises is started again and again."""
        try:
            if self._opened is None:
                model = ray.get(self._reference)
                self._opened = model, model.open(threads=self._threads)
            model, detector = self._opened
            return {**work_part(detector, model, paths, self._out, self._readers), "failure": ""}
        except (Yolo9Error, StorageError, TypeError, ValueError) as error:
            return {"images": 0, "errors": 0, "detections": 0, "failure": str(error)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit codes are the program's."""
    if MISSING is not None:
        print(f"error: yolo9_rs.ray needs Ray ({MISSING}): pip install 'yolo9-rs[ray]'", file=sys.stderr)
        return 1
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        return ended(_run, given)
    except ray.exceptions.RayError as error:
        print(f"error: Ray: {_reason(error)}", file=sys.stderr)
        return 1
    except ConnectionError as error:
        print(f"error: no Ray cluster at {given.address or 'RAY_ADDRESS'}: {error}", file=sys.stderr)
        return 1


def _parser() -> Parser:
    parser = Parser(
        prog="python -m yolo9_rs.ray",
        description="Detect objects in images from disk or object stores on a Ray cluster, and write Parquet files.",
        epilog="A row has path, width, height, detections (class_id, name, confidence, x1, y1, x2, y2) and error. Exit codes: "
        "0 done, 1 usage or model error, 2 some images failed, 3 no image found, 130 interrupted.",
    )
    add_options(parser)
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument("--address", help="of a running cluster [RAY_ADDRESS, else one is started on this machine]")
    cluster.add_argument("--concurrency", type=positive, help="workers, each with a session of its own [as many as the CPUs allow]")
    cluster.add_argument("--cpus", type=positive, default=1, help="CPUs and threads of a worker [1]")
    cluster.add_argument("--gpus", type=float, help="GPUs of a worker [1 on cuda and tensorrt, else 0]")
    return parser


def _run(given: argparse.Namespace) -> int:
    run = start(given)
    if isinstance(run, int):
        return run
    if not ray.is_initialized():
        # Without an address Ray would also try a cluster that was here once.
        address = given.address or os.environ.get("RAY_ADDRESS") or "local"
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    return _detect(given, run)


def _detect(given: argparse.Namespace, run: Run) -> int:
    gpus = given.gpus if given.gpus is not None else float(given.device.startswith(("cuda", "tensorrt")))
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus = int(resources.get("CPU", 1))
    concurrency = min(given.concurrency or max(1, cpus // given.cpus), len(run.lists))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # The bytes of the model go through Ray's object store, once to each machine.
    arguments = {"model": ray.put(run.model), "out": str(locate(given.out)), "threads": given.cpus, "readers": given.readers}
    rows = [{"paths": paths} for paths in run.lists]
    results = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Worker,
        fn_constructor_kwargs=arguments,
        batch_size=1,
        num_cpus=given.cpus,
        num_gpus=gpus,
        compute=ray.data.ActorPoolStrategy(size=concurrency, max_tasks_in_flight_per_actor=2),
    )
    total = run.images
    run.progress.begin(total, f"{total} images in {len(run.lists)} files, {concurrency} workers")
    failed = detections = 0
    for row in results.iter_rows():
        if row["failure"]:
            raise StorageError(str(row["failure"]))
        failed += int(row["errors"])
        detections += int(row["detections"])
        run.progress.advance(int(row["images"]))
    return run.end(failed, detections, given.out)


def _reason(error: BaseException) -> str:
    """Ray's own messages carry the whole stack of the worker, and advice behind it."""
    raised: list[str] = re.findall(r"^\s*(?:\w+\.)*(?:\w+Error|\w+Exception): .+$", str(error), re.MULTILINE)
    lines = raised or [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


__all__ = ["main"]
