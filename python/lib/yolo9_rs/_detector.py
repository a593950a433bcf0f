"""A model that detects objects in images."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal, TypeVar, overload

from . import _native
from ._ahead import in_order
from ._detections import Detections, Timing
from ._errors import ImageError
from ._input import Image, native_image
from ._library import onnxruntime_library

DEFAULT_WEIGHTS = "codes-dysample"
"""The embedded model, which detects QR codes, barcodes and the like."""

AnyImage = TypeVar("AnyImage", bound=Image)


class Detector:
    """A model of any kind that yolo9 opens, ready to detect.

    >>> detector = Detector("best.pt")
    >>> for name, confidence, xyxy, class_id in detector.detect("photo.jpg"):
    ...     print(name, confidence, xyxy)

    One detector may be used by many threads: Python's lock is released while images are decoded and inference runs. With
    ``sessions=1`` inference of one image waits for that of another; with more, each has its share of the threads.

    Args:
        weights: A checkpoint of any YOLOv9 code (``.pt``, ``.safetensors``), an exported ``.onnx`` file, the name of an
            embedded model or of released weights (``yolo9 models``), which are fetched. None: the embedded default.
        config: The YAML of the architecture, if the checkpoint does not carry it.
        names: Class names by class id, if not those of the model.
        imgsz: Size of the network's input, one side or (height, width), 1 to 16384; rounded up to the stride. Default: 640,
            or that of an exported file.
        square: Pad images to the whole input instead of the smallest rectangle.
        conf: Confidence threshold, 0 to 1. Default: that of the preset, 0.25.
        iou: NMS IoU threshold, 0 to 1. Default: that of the preset, 0.45 or 0.7.
        max_det: Maximum detections per image. Default: that of the preset, 1000 or 300.
        agnostic: Class-agnostic NMS.
        classes: Only these classes, by name or id.
        preset: Defaults of the official ``detect.py`` ("yolov9") or of "ultralytics".
        device: cpu, openvino, cuda:N, tensorrt:N, coreml, directml:N, xnnpack, or auto. The library is that of the
            installed package (``onnxruntime``, ``onnxruntime-gpu``, ``onnxruntime-openvino``), else it is fetched. A process
            loads one library: the first detector decides.
        precision: f32, bf16, f16 or int8. Default: that of the model.
        threads: Threads for inference, of all sessions together. Default: all that the system grants.
        sessions: Images that go through the network at the same time. Each session has a copy of the weights.
        onnxruntime: Path of the ONNX Runtime library, instead of the one that is found.
        offline: Never fetch anything.

    Raises:
        CheckpointError, ConfigError, WeightsError, ModelError: The model cannot be opened.
        DeviceError, OnnxRuntimeError, DownloadError: It cannot run here.
        ValueError: An option is outside its range.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        names: Sequence[str] | None = None,
        imgsz: int | tuple[int, int] | None = None,
        square: bool = False,
        conf: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
        agnostic: bool = False,
        classes: Sequence[int | str] | None = None,
        preset: Literal["yolov9", "ultralytics"] = "yolov9",
        device: str = "cpu",
        precision: str | None = None,
        threads: int | None = None,
        sessions: int = 1,
        onnxruntime: str | os.PathLike[str] | None = None,
        offline: bool = False,
    ) -> None:
        self._arguments: dict[str, Any] = {
            "weights": weights,
            "config": config,
            "names": None if names is None else [str(name) for name in _several("names", names)],
            "imgsz": None if imgsz is None else _sides(imgsz),
            "square": square,
            "conf": conf,
            "iou": iou,
            "max_det": max_det,
            "agnostic": agnostic,
            "classes": None if classes is None else [str(wanted) for wanted in _several("classes", classes)],
            "preset": preset,
            "device": device,
            "precision": precision,
            "threads": threads,
            "sessions": sessions,
            "onnxruntime": onnxruntime,
            "offline": offline,
        }
        if not isinstance(device, str):
            raise TypeError(f"device: {device!r}; expected a name such as cpu or cuda:0")
        options = dict(self._arguments)
        options["onnxruntime"] = onnxruntime_library(device) if onnxruntime is None else onnxruntime
        path = DEFAULT_WEIGHTS if weights is None else weights
        try:
            self._native = _native.Detector(path, options)
        except TypeError as error:
            # "failed to extract field Options.conf", and why.
            keyword = str(error).rpartition(".")[2]
            if keyword not in options:
                raise
            kind = ValueError if isinstance(error.__cause__, OverflowError) else TypeError
            raise kind(f"{keyword}: {options[keyword]!r}: {error.__cause__ or error}") from None
        self._names = tuple(self._native.names)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its arguments: whoever unpickles it opens the model again, in their own process."""
        return _reopen, (type(self), self._arguments)

    def __repr__(self) -> str:
        weights = DEFAULT_WEIGHTS if self._arguments["weights"] is None else self._arguments["weights"]
        return f"Detector({str(weights)!r}, {len(self._names)} classes, device={self.device!r}, precision={self.precision!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by class id."""
        return self._names

    @property
    def imgsz(self) -> tuple[int, int]:
        """Height and width of the network's input; images are padded to it, or to less (see ``square``)."""
        return self._native.imgsz

    @property
    def device(self) -> str:
        """Where inference runs."""
        return self._native.device

    @property
    def precision(self) -> str:
        """Number format of its convolutions."""
        return self._native.precision

    @property
    def sessions(self) -> int:
        """Images that go through the network at the same time."""
        return self._native.sessions

    def detect(self, image: Image) -> Detections:
        """Detects the objects of an image.

        An array is used without a copy if its rows have no gaps. Do not write to it from another thread meanwhile.

        Raises:
            ImageError: It cannot be read.
            ValueError: An array or PIL image of another form. TypeError: something else.
        """
        return self._detections(self._native.detect(native_image(image)), image)

    def detect_batch(self, images: Sequence[Image], *, batch: int = 8) -> list[Detections]:
        """As :meth:`detect` for several images, of which up to ``batch`` with inputs of one size go through the network
        together. That is worth its memory on a GPU; on a CPU :meth:`stream` with several sessions is faster.

        Raises:
            As :meth:`detect`; then no image has a result.
        """
        batch = _at_least_one("batch", batch)
        images = list(_several("images", images))
        detections: list[Detections] = []
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            all_found = self._native.detect_batch([native_image(image) for image in part])
            detections += [self._detections(found, image) for found, image in zip(all_found, part)]
        return detections

    @overload
    def stream(
        self, images: Iterable[AnyImage], *, workers: int | None = None, errors: Literal["raise"] = "raise"
    ) -> Iterator[Detections]: ...

    @overload
    def stream(
        self, images: Iterable[AnyImage], *, workers: int | None = None, errors: Literal["yield"]
    ) -> Iterator[Detections | ImageError]: ...

    def stream(
        self, images: Iterable[AnyImage], *, workers: int | None = None, errors: Literal["raise", "yield"] = "raise"
    ) -> Iterator[Detections | ImageError]:
        """Detections of each image, in their order, while the next ones are read and decoded.

        ``images`` may be endless: up to twice as many as ``workers`` and one more are taken ahead. ``errors="yield"`` puts
        the :class:`ImageError` of an image that cannot be read in the place of its detections and goes on; what is not an
        image at all (another type or form) is raised all the same. The default number
        of workers, threads that decode and wait for a session, is one more than there are sessions.
        """
        if errors not in ("raise", "yield"):
            raise ValueError(f"errors: {errors!r}; expected 'raise' or 'yield'")
        workers = self.sessions + 1 if workers is None else _at_least_one("workers", workers)
        return self._stream(_several("images", images), workers, errors == "yield")

    def _stream(self, images: Iterable[AnyImage], workers: int, goes_on: bool) -> Iterator[Detections | ImageError]:
        for future in in_order(self.detect, images, workers):
            yield _outcome(future, goes_on)

    def _detections(self, found: Any, image: Image) -> Detections:
        xyxy, confidence, class_id, image_shape, input_shape, timing = found
        return Detections(
            xyxy, confidence, class_id, self._names, image_shape, input_shape, Timing(*timing), image
        )


def _at_least_one(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: {value!r}; expected a whole number") from None
    if number < 1:
        raise ValueError(f"{name}: {value}; expected at least 1")
    return number


def _sides(imgsz: Any) -> tuple[int, int]:
    """Height and width."""
    try:
        sides = (imgsz, imgsz) if hasattr(imgsz, "__index__") else tuple(imgsz)
        height, width = (operator.index(side) for side in sides)
    except (TypeError, ValueError):
        raise TypeError(f"imgsz: {imgsz!r}; expected one side, or (height, width)") from None
    return height, width


def _several(name: str, values: Any) -> Any:
    """A text is a sequence too, of what nobody means."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: {values!r}; expected a list")
    return values


def _reopen(kind: type[Detector], arguments: dict[str, Any]) -> Detector:
    return kind(**arguments)


def _outcome(future: Future[Detections], goes_on: bool) -> Detections | ImageError:
    try:
        return future.result()
    except ImageError as error:
        if goes_on:
            return error
        raise
