"""The part in Rust. ``yolo9_rs`` is what to use; it checks what comes here."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__version__: str
IMAGE_EXTENSIONS: tuple[str, ...]
MAX_IMAGE_BYTES: int
MAX_IMAGE_PIXELS: int
MAX_MODEL_BYTES: int

_Image = NDArray[np.uint8] | bytes | str | PathLike[str]
_Found = tuple[
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.int64],
    tuple[int, int],
    tuple[int, int],
    tuple[float, float, float],
]

@final
class Detector:
    def __new__(cls, weights: str | PathLike[str], options: Mapping[str, Any]) -> Detector: ...
    def detect(self, image: _Image) -> _Found: ...
    def detect_batch(self, images: Sequence[_Image]) -> list[_Found]: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def imgsz(self) -> tuple[int, int]: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def sessions(self) -> int: ...

def draw(
    image: _Image,
    xyxy: NDArray[np.float32],
    confidence: NDArray[np.float32],
    class_id: NDArray[np.int64],
    names: Sequence[str],
    *,
    line_width: int | None,
    labels: bool,
    confidences: bool,
) -> NDArray[np.uint8]: ...
def read_image(image: _Image) -> NDArray[np.uint8]: ...
def library_package(device: str) -> str | None: ...
def check_device(device: str, precision: str | None) -> None: ...
def coco_categories(names: Sequence[str]) -> list[int] | None: ...
