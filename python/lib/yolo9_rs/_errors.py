"""Exceptions, by what they are about. Each message says what was expected, what was found, and what to do."""

from __future__ import annotations


class Yolo9Error(Exception):
    """Something that yolo9 could not do. The base of all others."""


class CheckpointError(Yolo9Error):
    """A file of weights is missing or damaged, or is something else."""


class ConfigError(Yolo9Error):
    """A YAML config is wrong, or one is needed."""


class WeightsError(Yolo9Error):
    """Weights do not fit their network."""


class ModelError(Yolo9Error):
    """Something else about a model: an exported file, its class names, its input size."""


class ImageError(Yolo9Error):
    """An image cannot be read: it is missing, damaged, too large, or not an image."""


class DeviceError(Yolo9Error):
    """A device cannot be used, or not in that precision."""


class OnnxRuntimeError(Yolo9Error):
    """ONNX Runtime cannot be loaded, or failed."""


class DownloadError(Yolo9Error):
    """Released weights, or a file of an object store, cannot be fetched."""


class DatasetError(Yolo9Error):
    """A labelled dataset cannot be read."""


class CommandError(Yolo9Error):
    """A command of the program ``yolo9`` failed for another reason."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        """As ``yolo9 --help`` lists them: 1 wrong usage or model, 2 some inputs failed, 3 no input."""

    def __reduce__(self) -> tuple[type[CommandError], tuple[str, int]]:
        return type(self), (str(self), self.exit_code)


BY_KIND: dict[str, type[Yolo9Error]] = {
    "checkpoint": CheckpointError,
    "config": ConfigError,
    "weights": WeightsError,
    "model": ModelError,
    "image": ImageError,
    "device": DeviceError,
    "runtime": OnnxRuntimeError,
    "download": DownloadError,
    "dataset": DatasetError,
}
"""What the program's log lines call them."""
