"""What Ray and Spark have in common: options, parts of a run, and images through a detector."""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from . import _native
from ._ahead import in_order
from ._detector import DEFAULT_WEIGHTS, Detector
from ._errors import ImageError, Yolo9Error
from ._native import MAX_MODEL_BYTES, __version__
from ._progress import Progress
from ._storage import Location, StorageError, images, locate, read, reason, write
from ._table import SCHEMA, Row, to_table

READERS = 8
"""Threads of a worker that read and decode: they wait for the network most of the time."""

PART_SIZE = 500
"""Images of a file: some minutes of one core, some hundred kB."""

PASSING = "cannot be read: "
"""How errors begin that are not the image's fault: a restart does the parts that have them once more."""

_METADATA = b"yolo9_rs"


@dataclass(frozen=True)
class File:
    """A file that travels with the work."""

    name: str
    content: bytes

    @functools.cached_property
    def digest(self) -> str:
        """Which content it is."""
        return hashlib.sha256(self.content).hexdigest()[:32]


@dataclass(frozen=True)
class Model:
    """What every worker opens: the same bytes everywhere, or the name of an embedded or released model."""

    weights: File | str
    config: File | str | None
    options: dict[str, Any]

    @classmethod
    def load(cls, weights: str | None, options: dict[str, Any]) -> Model:
        """Reads weights and config from wherever they are.

        Raises:
            StorageError: They cannot be read.
        """
        options = dict(options)
        config = options.pop("config", None)
        weights = DEFAULT_WEIGHTS if weights is None else weights
        return cls(_travelling(weights), None if config is None else _travelling(config), options)

    def open(self, **overrides: Any) -> Detector:
        """A detector of this process.

        Raises:
            Yolo9Error: It cannot be opened.
        """
        with tempfile.TemporaryDirectory(prefix="yolo9-") as folder:
            # A detector has read its files when it is there.
            given: dict[str, Any] = {
                name: _unpacked(file, folder) for name, file in (("weights", self.weights), ("config", self.config))
            }
            try:
                return Detector(**given, **{**self.options, **overrides})
            except Yolo9Error as error:
                message = str(error)
                for name, file in (("weights", self.weights), ("config", self.config)):
                    if isinstance(file, File):
                        message = message.replace(str(given[name]), file.name)
                raise type(error)(message) from None

    @property
    def settings(self) -> dict[str, Any]:
        """What results depend on: those of runs with other settings do not belong in one folder."""
        results = ("imgsz", "square", "conf", "iou", "max_det", "agnostic", "classes", "preset", "device", "precision")
        chosen = {name: value for name, value in self.options.items() if name in results and value is not None and value is not False}
        given = {"weights": self.weights, "config": self.config}
        files = {name: _identity(file) for name, file in given.items() if file is not None}
        return {"yolo9": __version__, **files, **chosen}


def _travelling(name: str) -> File | str:
    return File(name, read(locate(name), MAX_MODEL_BYTES)) if "://" in name or os.path.exists(name) else name


def _unpacked(file: File | str | None, folder: str) -> str | Path | None:
    if not isinstance(file, File):
        return file
    path = Path(folder) / Path(file.name).name
    path.write_bytes(file.content)
    return path


def _identity(file: File | str) -> str:
    return f"{os.path.basename(file.name)} {file.digest}" if isinstance(file, File) else file


def detect_rows(
    detector: Detector, named: Iterable[tuple[str, Callable[[], bytes] | bytes]], readers: int = READERS
) -> Iterator[Row]:
    """Each image, by name and content or a function that reads it, in its order. What cannot be read or decoded is a row
    with an error; what fails through no fault of the image ends the work.
    """

    def one(image: tuple[str, Callable[[], bytes] | bytes]) -> Row:
        name, content = image
        try:
            return Row(name, detector.detect(content if isinstance(content, bytes) else content()))
        except ImageError as error:
            return Row(name, str(error).removeprefix(f"{name}: "))
        except StorageError as error:
            words = str(error).removeprefix(f"{locate(name)}: ")
            return Row(name, f"{PASSING}{words}" if error.passing else words)

    for future in in_order(one, named, readers):
        yield future.result()


def read_later(path: str) -> tuple[str, Callable[[], bytes]]:
    """For :func:`detect_rows`: the file is read by the thread whose turn it is."""
    return path, lambda: read(locate(path))


def parts(paths: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of ``size`` paths; the last may be shorter."""
    part: list[str] = []
    for path in paths:
        part.append(path)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def part_name(paths: list[str]) -> str:
    """The file of a part. Its name follows from its paths: whoever does a part twice writes one file."""
    digest = hashlib.blake2b("\0".join(paths).encode(), digest_size=12).hexdigest()
    return f"part-{digest}.parquet"


def encode(rows: Iterable[Row], settings: dict[str, Any]) -> tuple[bytes, pa.Table]:
    """A part as a Parquet file that knows its settings."""
    table = to_table(rows)
    table = table.replace_schema_metadata({_METADATA: json.dumps(settings, sort_keys=True)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes(), table


def work_part(detector: Detector, model: Model, paths: list[str], out: str, readers: int) -> dict[str, int]:
    """Detects in the images of a part and writes its file; counts of what is in it.

    Raises:
        Yolo9Error, StorageError: What would fail for other images too.
    """
    content, table = encode(detect_rows(detector, map(read_later, paths), readers), model.settings)
    write(locate(f"{out.rstrip('/')}/{part_name(paths)}"), content)
    detections = table["detections"].combine_chunks()
    return {
        "images": len(paths),
        "errors": len(paths) - table["error"].null_count,
        "detections": len(detections.flatten()),
    }


@dataclass(frozen=True)
class Done:
    """What an output folder holds already."""

    paths: frozenset[str]
    files: int
    failed: int
    """Images with an error."""
    again: tuple[tuple[str, ...], ...]
    """Parts with images that could not be read, through no fault of theirs."""


def finished(out: Location, settings: dict[str, Any]) -> Done:
    """The images whose rows are in files of the folder. Nothing else says what is done.

    Raises:
        StorageError: A file is damaged, or of a run with other settings.
    """
    selector = fs.FileSelector(out.path or ".", allow_not_found=True, recursive=False)
    try:
        infos = out.filesystem.get_file_info(selector)
    except OSError as error:
        raise StorageError(f"{out}: {reason(error)}") from error
    files = [info.path for info in infos if info.base_name.startswith("part-") and info.base_name.endswith(".parquet")]
    # As the files have them.
    settings = json.loads(json.dumps(settings))
    paths: set[str] = set()
    again, failed = [], 0
    with ThreadPoolExecutor(2 * READERS) as pool:
        for found in pool.map(lambda path: _rows_of(out, path, settings), files):
            paths.update(path for path, _ in found)
            if any(error is not None and error.startswith(PASSING) for _, error in found):
                again.append(tuple(path for path, _ in found))
            else:
                failed += sum(error is not None for _, error in found)
    return Done(frozenset(paths), len(files) - len(again), failed, tuple(again))


def _rows_of(out: Location, path: str, settings: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Paths and errors, in their order."""
    place = out.uri(path)
    try:
        with out.filesystem.open_input_file(path) as source:
            file = pq.ParquetFile(source)
            stored = json.loads((file.schema_arrow.metadata or {}).get(_METADATA, b"{}"))
            if stored != settings:
                names = [name for name in {**stored, **settings} if stored.get(name) != settings.get(name)]
                said = ", ".join(f"{name} {stored.get(name, 'not set')}, now {settings.get(name, 'not set')}" for name in names)
                raise StorageError(f"{place}: is of a run with other settings ({said}); choose another folder")
            table = file.read(columns=["path", "error"])
            return list(zip(table["path"].to_pylist(), table["error"].to_pylist()))
    except (pa.ArrowInvalid, ValueError) as error:
        raise StorageError(f"{place}: damaged: {error}; delete it, and its images are processed again") from error
    except OSError as error:
        raise StorageError(f"{place}: {reason(error)}") from error


def todo(sources: Iterable[str], done: Done, size: int) -> list[list[str]]:
    """Parts that are to be done: those with images that could not be read, then what is in no file."""
    return [*map(list, done.again), *parts(remaining(sources, done), size)]


def prepare(out: Location) -> None:
    """Makes a local output folder, so that what cannot be written costs no work.

    Raises:
        StorageError: It cannot be written to.
    """
    if not isinstance(out.filesystem, fs.LocalFileSystem):
        return
    try:
        os.makedirs(out.path, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{out}: cannot be made: {error.strerror}") from error
    if not os.access(out.path, os.W_OK):
        raise StorageError(f"{out}: cannot be written to: permission denied")


def remaining(sources: Iterable[str], done: Done) -> Iterator[str]:
    """Images of the sources that have no row yet, each once."""
    seen: set[str] = set()
    for source in sources:
        for location in images(source):
            path = str(location)
            if path not in done.paths and path not in seen:
                seen.add(path)
                yield path


@dataclass(frozen=True)
class Run:
    """What is left to do, and with what."""

    model: Model
    lists: list[list[str]]
    progress: Progress
    failed_before: int
    """Images with an error, of earlier runs."""

    @property
    def images(self) -> int:
        """In all lists."""
        return sum(len(paths) for paths in self.lists)

    def end(self, failed: int, detections: int, out: str) -> int:
        """The last line, and the exit code."""
        self.progress.end(f"{detections} detections in {self.images - failed} images, {failed} failed; {out}")
        return 2 if failed or self.failed_before else 0


def start(given: argparse.Namespace) -> Run | int:
    """Everything before the engine is needed; the exit code if that is all.

    Raises:
        StorageError, Yolo9Error, ValueError: Something cannot be opened, listed or written to.
    """
    model = model_of(given)
    out = locate(given.out)
    done = finished(out, model.settings)
    progress = Progress(given.quiet)
    if done.files or done.again:
        progress.say(f"{given.out}: {len(done.paths)} images are in {done.files + len(done.again)} files")
    lists = todo(given.source, done, given.part_size)
    if lists:
        prepare(out)
        return Run(model, lists, progress, done.failed)
    if done.paths:
        progress.say(f"Nothing left to do; {done.failed} images have an error")
        return 2 if done.failed else 0
    print(f"error: no image found in {', '.join(given.source)}", file=sys.stderr)
    return 3


def ended(run: Callable[[argparse.Namespace], int], given: argparse.Namespace) -> int:
    """The exit code of a command; errors that are not the engine's are said."""
    try:
        return run(given)
    except KeyboardInterrupt:
        print("Interrupted: what is written stays; the same command goes on from there", file=sys.stderr)
        return 130
    except (StorageError, Yolo9Error, ValueError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that results depend on, as the program calls them."""
    parser.add_argument(
        "source",
        nargs="+",
        help="image, folder, pattern (quoted; ** for any folders) or list (.txt, one a line): a path, s3://, gs://",
    )
    parser.add_argument("-o", "--out", required=True, help="folder for the Parquet files; a restart skips what is in them")
    model = parser.add_argument_group("model")
    model.add_argument("-w", "--weights", help="model file (a path, s3://, gs://), embedded or released model [embedded]")
    model.add_argument("--config", help="YAML of the architecture, if the checkpoint does not carry it")
    model.add_argument("--imgsz", type=_size, help="size of the network's input: 640, or height and width: 480x640")
    model.add_argument("--square", action="store_true", help="pad to the whole input")
    thresholds = parser.add_argument_group("thresholds")
    thresholds.add_argument("--conf", type=float, help="confidence threshold, 0 to 1")
    thresholds.add_argument("--iou", type=float, help="NMS IoU threshold, 0 to 1")
    thresholds.add_argument("--max-det", type=int, help="maximum detections per image")
    thresholds.add_argument("--agnostic", action="store_true", help="class-agnostic NMS")
    thresholds.add_argument("--classes", type=lambda text: text.split(","), help="only these, by name or id: person,2")
    thresholds.add_argument("--preset", choices=["yolov9", "ultralytics"], default="yolov9", help="defaults of the official detect.py, or of Ultralytics [yolov9]")
    runs = parser.add_argument_group("performance")
    runs.add_argument("--device", default="cpu", help="cpu, openvino, cuda:N, tensorrt:N, … [cpu]")
    runs.add_argument("--precision", help="f32, bf16, f16 or int8 [that of the model]")
    runs.add_argument("--part-size", type=positive, default=PART_SIZE, help=f"images per output file [{PART_SIZE}]")
    runs.add_argument("--readers", type=positive, default=READERS, help=f"reader threads per worker [{READERS}]")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def model_of(arguments: argparse.Namespace) -> Model:
    """The model of :func:`add_options`, opened once here: what would fail on every worker fails now.

    Raises:
        StorageError, Yolo9Error, ValueError: It cannot be opened, or an option is wrong.
    """
    names = ("config", "imgsz", "square", "conf", "iou", "max_det", "agnostic", "classes", "preset", "device", "precision")
    model = Model.load(arguments.weights, {name: getattr(arguments, name) for name in names})
    # The machine that starts the work need not have the device, but knows its name.
    _native.check_device(arguments.device, arguments.precision)
    model.open(device="cpu", precision=None, threads=1)
    return model


class Parser(argparse.ArgumentParser):
    """With the program's exit codes: 2 means something else there."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"error: {message}\n")


def _size(text: str) -> tuple[int, int]:
    height, separator, width = text.partition("x")
    try:
        return int(height), int(width if separator else height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}`; expected 640, or height and width as 480x640") from None


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}`; expected a whole number of at least 1")
    return int(text)


