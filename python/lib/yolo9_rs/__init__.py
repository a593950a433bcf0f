"""YOLOv9 detection without PyTorch: checkpoints, YAML configs and ONNX files in, boxes out, on ONNX Runtime.

>>> import yolo9_rs
>>> detector = yolo9_rs.Detector("best.pt")
>>> detections = detector.detect("photo.jpg")
>>> detections.xyxy, detections.confidence, detections.class_id, detections.names

``yolo9_rs.ray`` and ``yolo9_rs.spark`` do that for many images on many machines.
"""

from ._commands import compare, export, info, quantize, val
from ._detections import Box, Detections, Timing
from ._detector import DEFAULT_WEIGHTS, Detector
from ._errors import (
    CheckpointError,
    CommandError,
    ConfigError,
    DatasetError,
    DeviceError,
    DownloadError,
    ImageError,
    ModelError,
    OnnxRuntimeError,
    WeightsError,
    Yolo9Error,
)
from ._input import Image, read_image
from ._native import __version__

__all__ = [
    "DEFAULT_WEIGHTS",
    "Box",
    "CheckpointError",
    "CommandError",
    "ConfigError",
    "DatasetError",
    "Detections",
    "Detector",
    "DeviceError",
    "DownloadError",
    "Image",
    "ImageError",
    "ModelError",
    "OnnxRuntimeError",
    "Timing",
    "WeightsError",
    "Yolo9Error",
    "__version__",
    "compare",
    "export",
    "info",
    "quantize",
    "read_image",
    "val",
]
