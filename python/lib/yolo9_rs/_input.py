"""What an image can be: arrays and PIL images are checked here, so that every mistake is told in Python's words."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._errors import ImageError
from ._native import MAX_IMAGE_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Image: TypeAlias = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, "NDArray[np.uint8]", "PilImage"]
"""A path, an image file in memory, a PIL image, or an RGB array of shape [height, width, 3] and type uint8."""

_PIL_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
"""Modes of 8 bits per channel and less. ``convert("RGB")`` cuts others off at 255."""


def native_image(image: Any) -> NDArray[np.uint8] | bytes | str:
    """The image as the Rust part takes it. An array is passed on without a copy if its rows have no gaps."""
    if isinstance(image, np.ndarray):
        return _checked(image)
    if isinstance(image, bytes):
        return image
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        return path if isinstance(path, str) else os.fsdecode(path)
    if isinstance(image, (bytearray, memoryview)):
        return bytes(image)
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(image, pil.Image):
        return _of_pil(image)
    raise TypeError(
        f"image: {type(image).__module__}.{type(image).__qualname__}; expected a path, bytes of an image file, a PIL image, "
        "or a NumPy array of shape [height, width, 3] and type uint8"
    )


def _of_pil(image: PilImage) -> NDArray[np.uint8]:
    from PIL import ImageOps
    from PIL.Image import DecompressionBombError as PilLimit

    if image.mode not in _PIL_MODES:
        raise ValueError(
            f"image: a PIL image of mode {image.mode}; expected 8 bits per channel: scale its values to 0 to 255 and "
            'convert it to mode "RGB" first'
        )
    try:
        # As for files: upright, without transparency. This is where PIL reads the pixels.
        pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, PilLimit) as error:
        raise ImageError(f"PIL cannot read it: {error}") from error
    return _checked(pixels)


def _checked(array: NDArray[Any]) -> NDArray[np.uint8]:
    came = f"image: an array of shape {list(array.shape)} and type {array.dtype}"
    expected = "expected [height, width, 3] of type uint8, RGB"
    if array.dtype != np.uint8:
        remedy = "scale it to 0 to 255 and use .astype(numpy.uint8)" if array.dtype.kind in "fiu" else "decode it first"
        raise ValueError(f"{came}; {expected}: {remedy}")
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ValueError(f"{came}; {expected}{_remedy(array)}")
    if array.shape[0] * array.shape[1] > MAX_IMAGE_PIXELS:
        raise ValueError(f"{came}; {expected}, of at most {MAX_IMAGE_PIXELS // 1_000_000} megapixels")
    return np.ascontiguousarray(array)


def _remedy(array: NDArray[Any]) -> str:
    if array.size == 0:
        return ", with at least one pixel"
    if array.ndim == 2:
        return ": repeat the grey channel with numpy.stack([image] * 3, axis=-1)"
    if array.ndim == 4:
        return ": pass a batch to detect_batch, as a list of images"
    if array.ndim == 3 and array.shape[2] == 4:
        return ": leave out the transparency with image[..., :3]"
    if array.ndim == 3 and array.shape[0] == 3:
        return ": put the channels last with image.transpose(1, 2, 0)"
    if array.ndim == 3 and array.shape[2] == 1:
        return ": repeat the grey channel with numpy.repeat(image, 3, axis=2)"
    return ""


def read_image(image: Image) -> NDArray[np.uint8]:
    """Decodes an image as :meth:`Detector.detect` does: upright by its EXIF orientation, RGB, without transparency.

    Returns an array of shape [height, width, 3]. Raises :class:`ImageError` for what is no image or damaged.
    """
    return _native.read_image(native_image(image))
