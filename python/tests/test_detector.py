"""One detector: its results, what it refuses, and that it may be shared."""

from __future__ import annotations

import gc
import io
import multiprocessing
import pickle
import resource
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PARCELS, SAMPLE, SIZE, by_program

import yolo9_rs


def test_results_are_those_of_the_program(detector: yolo9_rs.Detector) -> None:
    paths = [SAMPLE, *PARCELS[:4]]
    for path, expected in zip(paths, by_program(*paths)):
        found = detector.detect(path)
        assert {"image": str(path), **found.to_dict()} == expected
        assert len(found) == len(expected["detections"])


def test_options_mean_what_they_mean_to_the_program() -> None:
    options = "--imgsz 320x480 --square --conf 0.1 --iou 0.6 --max-det 9 --agnostic --classes qr,1 --preset ultralytics"
    detector = yolo9_rs.Detector(
        imgsz=(320, 480), square=True, conf=0.1, iou=0.6, max_det=9, agnostic=True, classes=["QR", 1], preset="ultralytics"
    )
    expected = by_program(SAMPLE, options=options)[0]
    assert {"image": str(SAMPLE), **detector.detect(SAMPLE).to_dict()} == expected
    assert len(expected["detections"]) == 9


def test_every_kind_of_image_gives_the_same(detector: yolo9_rs.Detector) -> None:
    from PIL import Image

    expected = detector.detect(SAMPLE)
    assert expected.xyxy.dtype == np.float32 and expected.class_id.dtype == np.int64
    array = yolo9_rs.read_image(SAMPLE)
    assert array.shape == (960, 1280, 3) and expected.image_shape == (960, 1280) and expected.input_shape == (480, 640)
    mirrored = np.ascontiguousarray(array[:, ::-1])
    array.flags.writeable = False
    bgr = np.ascontiguousarray(array[..., ::-1])
    kinds: list[yolo9_rs.Image] = [
        str(SAMPLE), SAMPLE.read_bytes(), bytearray(SAMPLE.read_bytes()), array, np.asfortranarray(array), bgr[..., ::-1],
        mirrored[:, ::-1], Image.fromarray(array), Image.fromarray(array).convert("RGBA"),
    ]  # fmt: skip
    for kind in kinds:
        found = detector.detect(kind)
        assert np.array_equal(found.xyxy, expected.xyxy) and np.array_equal(found.confidence, expected.confidence)
        assert found.names.tolist() == expected.names.tolist()


def test_pil_images_are_turned_upright(detector: yolo9_rs.Detector, tmp_path: Path) -> None:
    from PIL import Image

    turned = Image.fromarray(np.rot90(yolo9_rs.read_image(SAMPLE), 3).copy())
    exif = Image.Exif()
    exif[0x0112] = 8  # To be turned by a quarter, against the clock.
    turned.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        assert np.array_equal(detector.detect(image).xyxy, detector.detect(tmp_path / "turned.png").xyxy)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((8, 8)), "shape [8, 8] and type float64"),
        (np.zeros((8, 8, 3), np.float32), ".astype(numpy.uint8)"),
        (np.zeros((8, 8), np.uint8), "numpy.stack"),
        (np.zeros((8, 8, 1), np.uint8), "numpy.repeat"),
        (np.zeros((8, 8, 4), np.uint8), "image[..., :3]"),
        (np.zeros((3, 8, 8), np.uint8), "transpose(1, 2, 0)"),
        (np.zeros((2, 8, 8, 3), np.uint8), "detect_batch"),
        (np.zeros((0, 8, 3), np.uint8), "at least one pixel"),
        (np.zeros((8, 8, 3), object), "decode it first"),
        (np.broadcast_to(np.zeros(3, np.uint8), (20_000, 20_000, 3)), "200 megapixels"),
    ],
)
def test_arrays_of_another_form_are_refused(detector: yolo9_rs.Detector, array: Any, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        detector.detect(array)
    assert said in str(refused.value)


def test_what_is_no_image_is_refused(detector: yolo9_rs.Detector, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "cut.jpg").write_bytes(SAMPLE.read_bytes()[:9000])
    cases: list[tuple[yolo9_rs.Image, str]] = [
        ("none.jpg", "none.jpg: cannot be read"),
        (tmp_path / "cut.jpg", "ends before its end marker"),
        (b"", "empty"),
        (b"text", "not an image"),
    ]
    for image, said in cases:
        with pytest.raises(yolo9_rs.ImageError) as refused:
            detector.detect(image)
        assert said in str(refused.value)
    with pytest.raises(TypeError, match="builtins.int"):
        detector.detect(5)  # type: ignore[arg-type]
    cut = Image.open(io.BytesIO(SAMPLE.read_bytes()[:9000]))
    with pytest.raises(yolo9_rs.ImageError, match="truncated"):
        detector.detect(cut)
    with pytest.raises(ValueError, match="mode I;16"):
        detector.detect(Image.new("I;16", (8, 8)))


@pytest.mark.parametrize(
    ("keywords", "kind", "said"),
    [
        ({"weights": "none.pt"}, yolo9_rs.CheckpointError, "none.pt: no such file"),
        ({"weights": __file__}, yolo9_rs.CheckpointError, "not a model file"),
        ({"config": "none.yaml"}, yolo9_rs.ConfigError, "No such file"),
        ({"names": ["one"]}, yolo9_rs.ModelError, "1 class names for 6 classes"),
        ({"classes": ["barcod"]}, yolo9_rs.ModelError, "did you mean `barcode`?"),
        ({"precision": "int8"}, yolo9_rs.DeviceError, "not quantised"),
        ({"device": "gpu"}, ValueError, "expected cpu"),
        ({"precision": "f8"}, ValueError, "expected f32"),
        ({"preset": "yolo"}, ValueError, "ultralytics"),
        ({"conf": 1.5}, ValueError, "conf: 1.5; expected 0 to 1"),
        ({"iou": float("nan")}, ValueError, "iou"),
        ({"max_det": 0}, ValueError, "max_det"),
        ({"imgsz": 0}, ValueError, "imgsz"),
        ({"sessions": 0}, ValueError, "sessions"),
        ({"imgsz": "640"}, TypeError, "imgsz: '640'"),
        ({"conf": "high"}, TypeError, "conf: 'high'"),
        ({"max_det": -1}, ValueError, "max_det: -1"),
        ({"classes": "12"}, TypeError, "classes: '12'; expected a list"),
        ({"names": {0: "a"}}, TypeError, "names"),
        ({"device": 0}, TypeError, "device: 0"),
        ({"weights": ""}, yolo9_rs.CheckpointError, "no such file"),
    ],
)
def test_options_that_cannot_be_are_refused(keywords: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as refused:
        yolo9_rs.Detector(**keywords)
    assert said in str(refused.value)


def test_batches_give_the_results_of_single_images(detector: yolo9_rs.Detector) -> None:
    images: list[yolo9_rs.Image] = [SAMPLE, *PARCELS[:3], yolo9_rs.read_image(SAMPLE)[:300]]
    for batch in (1, 2, 8):
        for found, image in zip(detector.detect_batch(images, batch=batch), images):
            assert np.allclose(found.xyxy, detector.detect(image).xyxy, atol=0.01)
    assert detector.detect_batch([]) == []
    with pytest.raises(yolo9_rs.ImageError, match=r"none\.jpg"):
        detector.detect_batch([SAMPLE, "none.jpg"])


def test_streams_are_in_order_and_take_little_ahead(detector: yolo9_rs.Detector) -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            for path in PARCELS[:5]:
                taken += 1
                yield path

    stream = detector.stream(endless(), workers=2)
    found = [len(next(stream)) for _ in range(10)]
    assert found == 2 * [len(detector.detect(path)) for path in PARCELS[:5]]
    assert taken <= 10 + 5
    stream.close()  # type: ignore[attr-defined]
    outcomes = list(detector.stream([str(SAMPLE), "none.jpg", str(SAMPLE)], errors="yield"))
    assert isinstance(outcomes[1], yolo9_rs.ImageError) and isinstance(outcomes[2], yolo9_rs.Detections)
    with pytest.raises(yolo9_rs.ImageError):
        list(detector.stream(["none.jpg"]))
    for wrong in ({"workers": 0}, {"errors": "skip"}):
        with pytest.raises(ValueError):
            detector.stream([], **wrong)
    with pytest.raises(TypeError, match="expected a list"):
        detector.stream("photo.jpg")


@pytest.mark.parametrize("sessions", [1, 2])
def test_threads_may_share_a_detector(sessions: int) -> None:
    detector = yolo9_rs.Detector(imgsz=SIZE, sessions=sessions, threads=2, conf=0.05)
    images = [yolo9_rs.read_image(path) for path in PARCELS[:8]]
    alone = [detector.detect(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for one, other in zip(alone, pool.map(detector.detect, images)):
                assert np.array_equal(one.xyxy, other.xyxy) and np.array_equal(one.confidence, other.confidence)


def test_other_threads_run_meanwhile(detector: yolo9_rs.Detector) -> None:
    ticks, stop = [0], threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks[0] += 1

    thread = threading.Thread(target=tick)
    thread.start()
    before = ticks[0]
    for _ in range(3):
        detector.detect(SAMPLE)
    after = ticks[0]
    stop.set()
    thread.join()
    assert after - before > 1000


def _in_child(detector: yolo9_rs.Detector, queue: Any) -> None:
    try:
        detector.detect(SAMPLE)
        queue.put("ran")
    except RuntimeError as error:
        queue.put(str(error))
    # What the message advises.
    queue.put(len(yolo9_rs.Detector().detect(SAMPLE)))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_is_told_what_to_do(detector: yolo9_rs.Detector) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(detector, queue))
    child.start()
    assert "spawn" in queue.get(timeout=60)
    assert queue.get(timeout=60) == 23
    child.join(60)
    assert child.exitcode == 0


def test_a_detector_is_pickled_by_its_arguments(detector: yolo9_rs.Detector) -> None:
    again = pickle.loads(pickle.dumps(detector))
    assert np.array_equal(again.detect(SAMPLE).xyxy, detector.detect(SAMPLE).xyxy)
    assert repr(again) == repr(detector) == "Detector('codes-dysample', 6 classes, device='cpu', precision='f32')"
    assert again.names[0] == "qr" and again.imgsz == (640, 640) and again.sessions == 1


def test_a_second_library_is_not_ignored_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    yolo9_rs.Detector(imgsz=32, onnxruntime=tmp_path / "other.so")
    assert any("other.so: not loaded" in record.message for record in caplog.records)


def test_memory_stays(tmp_path: Path) -> None:
    detector = yolo9_rs.Detector(imgsz=32, threads=1)
    image = np.zeros((48, 64, 3), np.uint8)

    def peak(calls: int) -> int:
        for _ in range(calls):
            detector.detect(image)
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    first = peak(500)
    # A leak of a kilobyte for each call would be 3 MB; pages come and go by less.
    assert peak(3000) - first < 2500
    shutil.rmtree(tmp_path)
