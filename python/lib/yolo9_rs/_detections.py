"""What was detected in an image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._input import Image, native_image

if TYPE_CHECKING:
    import supervision


class Box(NamedTuple):
    """One detected object."""

    name: str
    """Name of its class."""
    confidence: float
    """Probability of the class, 0 to 1."""
    xyxy: tuple[float, float, float, float]
    """Left, top, right and bottom edge, in pixels of the image."""
    class_id: int


class Timing(NamedTuple):
    """Seconds that the stages took."""

    preprocess: float
    """Letterbox and tensor."""
    inference: float
    """The network; of a batch, an equal share."""
    postprocess: float
    """Decoding of boxes, NMS, rescaling."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects of an image, by falling confidence: arrays of equal length, or an iterator over :class:`Box`."""

    xyxy: NDArray[np.float32]
    """Boxes, shape [N, 4]: left, top, right and bottom edge, in pixels of the image."""
    confidence: NDArray[np.float32]
    """Probability of the class, shape [N], 0 to 1."""
    class_id: NDArray[np.int64]
    """Class ids, shape [N]."""
    class_names: Sequence[str] = field(repr=False)
    """Names of all classes of the model, by class id."""
    image_shape: tuple[int, int]
    """Height and width of the image, upright."""
    input_shape: tuple[int, int]
    """Height and width of the network's input."""
    timing: Timing = field(repr=False)
    source: Any = field(default=None, repr=False)
    """The image as it was given, for :meth:`plot`. It is kept alive with this object, but does not travel with its pickle,
    unless it is a path."""

    @property
    def names(self) -> NDArray[np.str_]:
        """Name of the class of each box, shape [N]."""
        return np.array([self._name(class_id) for class_id in self.class_id.tolist()], dtype=np.str_)

    def _name(self, class_id: int) -> str:
        return self.class_names[class_id] if 0 <= class_id < len(self.class_names) else str(class_id)

    def __getstate__(self) -> dict[str, Any]:
        source = self.source if isinstance(self.source, (str, os.PathLike)) else None
        return {**self.__dict__, "source": source}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __len__(self) -> int:
        return len(self.confidence)

    def __iter__(self) -> Iterator[Box]:
        for xyxy, confidence, class_id in zip(self.xyxy.tolist(), self.confidence.tolist(), self.class_id.tolist()):
            yield Box(self._name(class_id), confidence, (xyxy[0], xyxy[1], xyxy[2], xyxy[3]), class_id)

    def to_dict(self) -> dict[str, Any]:
        """As ``yolo9 detect --json`` writes it, without the name of the image: coordinates with three decimals,
        confidences with five."""
        detections = [
            {
                "class": box.class_id,
                "name": box.name,
                "confidence": _rounded(box.confidence, 1e5),
                "box": dict(zip(("x1", "y1", "x2", "y2"), (_rounded(value, 1e3) for value in box.xyxy))),
            }
            for box in self
        ]
        return {
            "width": self.image_shape[1],
            "height": self.image_shape[0],
            "input": {"width": self.input_shape[1], "height": self.input_shape[0]},
            "detections": detections,
        }

    def to_coco(self, image_id: int | str = 0) -> list[dict[str, Any]]:
        """Entries of COCO results, as pycocotools and FiftyOne read them: ``bbox`` is left, top, width and height.

        Category ids are those of COCO's own annotation files if the model has its 80 classes, else class ids.
        """
        categories = _native.coco_categories(self.class_names)
        corners = self.xyxy
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        return [
            {
                "image_id": image_id,
                "category_id": class_id if categories is None or class_id >= len(categories) else categories[class_id],
                "bbox": [_rounded(value, 1e3) for value in bbox],
                "score": _rounded(score, 1e5),
            }
            for bbox, score, class_id in zip(boxes.tolist(), self.confidence.tolist(), self.class_id.tolist())
        ]

    def to_supervision(self) -> supervision.Detections:
        """For the library ``supervision``, with ``class_name`` in its data. Raises ImportError without it."""
        try:
            import supervision
        except ImportError as error:
            raise ImportError("to_supervision needs the package supervision: pip install supervision") from error
        return supervision.Detections(
            xyxy=self.xyxy.copy(),
            confidence=self.confidence.copy(),
            class_id=self.class_id.copy(),
            data={"class_name": self.names},
        )

    def plot(
        self,
        image: Image | None = None,
        *,
        line_width: int | None = None,
        labels: bool = True,
        confidences: bool = True,
    ) -> NDArray[np.uint8]:
        """The image with boxes and labels, as a new RGB array of shape [height, width, 3].

        Without ``image``, what was given to ``detect`` is drawn on; a path is read once more. The width of the lines
        follows the size of the image unless it is given in pixels.
        """
        drawn_on = self.source if image is None else image
        if drawn_on is None:
            raise ValueError("plot: these detections do not know their image; pass it")
        if line_width is not None and not 1 <= line_width <= 1000:
            raise ValueError(f"line_width: {line_width}; expected 1 to 1000")
        return _native.draw(
            native_image(drawn_on),
            np.asarray(self.xyxy, np.float32),
            np.asarray(self.confidence, np.float32),
            np.asarray(self.class_id, np.int64),
            list(self.class_names),
            line_width=line_width,
            labels=labels,
            confidences=confidences,
        )


def _rounded(value: float, per_unit: float) -> float:
    """As the program rounds: half away from zero, not half to even."""
    scaled = abs(value) * per_unit
    whole = float(np.floor(scaled))
    return float(np.copysign((whole + (scaled - whole >= 0.5)) / per_unit, value))
