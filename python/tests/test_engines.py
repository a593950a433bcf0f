"""Ray and Spark, each on this machine with two workers: every good image has its row and every broken one an error, whatever
happens on the way."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PARCELS, SIZE, Bucket, as_program_says, by_program, many, rows_of

COUNT, BROKEN = 120, 2


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    assert len(many(folder, COUNT, BROKEN)) == BROKEN
    return folder


@pytest.fixture(scope="module")
def expected(photos: Path) -> dict[str, Any]:
    found = by_program(photos, options=f"--imgsz {SIZE}")
    return {Path(image["image"]).name: image["detections"] for image in found}


def run(engine: str, *words: str, code: int = 0) -> str:
    command = [sys.executable, "-m", f"yolo9_rs.{engine}", *words]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert ended.returncode == code, ended.stderr
    return ended.stderr


def check(rows: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    """One row for each image, with what the program says."""
    assert len(rows) == COUNT and len({row["path"] for row in rows}) == COUNT
    failed = [row for row in rows if row["error"] is not None]
    assert len(failed) == BROKEN and all(row["detections"] is None for row in failed)
    assert all("end marker" in row["error"] for row in failed)
    assert sum(len(row["detections"]) for row in rows if row["error"] is None) > COUNT
    for row in rows:
        if row["error"] is None:
            assert as_program_says(row) == expected[Path(row["path"]).name]


@pytest.fixture(params=["ray", "spark"])
def engine(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[str]]]:
    """The command and how it gets its two workers."""
    name: str = request.param
    pytest.importorskip("ray" if name == "ray" else "pyspark")
    yield name, (["--concurrency", "2"] if name == "ray" else ["--master", "local[2]"])


def test_every_image_of_a_bucket_has_its_row(
    engine: tuple[str, list[str]], bucket: Bucket, photos: Path, expected: dict[str, Any]
) -> None:
    name, workers = engine
    for path in photos.iterdir():
        bucket.put(f"{name}/in/{path.name}", path.read_bytes())
    out = f"{bucket.uri}/{name}/out"
    words = [f"{bucket.uri}/{name}/in", "-o", out, "--imgsz", str(SIZE), "--part-size", "20", *workers]
    said = run(name, *words, code=2)
    assert f"{COUNT} images in 6 files" in said and f"{BROKEN} failed" in said
    check(rows_of(out), expected)
    if name == "spark":
        return
    # A restart does what is missing, and nothing else; it knows of what failed before.
    files = bucket.keys(f"{name}/out/")
    bucket.client.delete_object(Bucket=bucket.name, Key=files[3])
    stamps = {key: bucket.client.head_object(Bucket=bucket.name, Key=key)["LastModified"] for key in files if key != files[3]}
    ended = subprocess.run([sys.executable, "-m", f"yolo9_rs.{name}", *words], check=False, capture_output=True, text=True)
    assert ended.returncode == 2 and "20 images in 1 files" in ended.stderr, ended.stderr
    assert bucket.keys(f"{name}/out/") == files
    for key, stamp in stamps.items():
        assert bucket.client.head_object(Bucket=bucket.name, Key=key)["LastModified"] == stamp
    check(rows_of(out), expected)


def _workers(name: str) -> list[int]:
    """Processes in which detectors are."""
    lines, parents = {}, {}
    for process in Path("/proc").iterdir():
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        except (OSError, ValueError):
            continue
        if line.startswith("ray::MapWorker") if name == "ray" else "pyspark.daemon" in line:
            lines[int(process.name)], parents[int(process.name)] = line, int(parent)
    # Spark's daemon starts the others.
    return [process for process in lines if name == "ray" or parents[process] in lines]


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for processes in /proc")
def test_a_killed_worker_loses_and_doubles_nothing(
    engine: tuple[str, list[str]], photos: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    name, _ = engine
    if name == "ray":
        words, variables = [sys.executable, "-m", "yolo9_rs.ray", "--concurrency", "2"], {}
    else:
        # As on a cluster; on one machine Spark tries nothing twice unless told to.
        package, spark = importlib.import_module("yolo9_rs.spark"), importlib.import_module("pyspark")
        words = [f"{spark.__path__[0]}/bin/spark-submit", "--master", "local[2,4]", f"{package.__path__[0]}/__main__.py"]
        variables = {"PYSPARK_PYTHON": sys.executable}
    words += [str(photos), "-o", str(tmp_path / "out"), "--imgsz", str(SIZE), "--part-size", "10"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables})
    killed = None
    for _ in range(2400):
        time.sleep(0.05)
        if len(list(tmp_path.glob("out/part-*.parquet"))) >= 2 and (running := _workers(name)):
            killed = running[0]
            os.kill(killed, signal.SIGKILL)
            break
    _, said = process.communicate(timeout=300)
    assert killed is not None and process.returncode == 2, said
    check(rows_of(tmp_path / "out"), expected)
    assert not [path for path in (tmp_path / "out").iterdir() if not path.name.startswith("part-")]


@pytest.mark.parametrize("name", ["ray", "spark"])
def test_errors_are_said_in_a_line(
    name: str, photos: Path, bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray" if name == "ray" else "pyspark")
    command = importlib.import_module(f"yolo9_rs.{name}._command")
    out = ["-o", str(tmp_path / "out")]
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04")
    for words, code, expected_words in [
        (["none", *out], 1, "none: no such file, folder or bucket"),
        (["s3://nothing-here/x", *out], 1, "nothing-here"),
        ([str(photos), *out, "-w", str(tmp_path / "cut.pt")], 1, "cut.pt"),
        ([str(photos), *out, "-w", "none.pt"], 1, "none.pt: no such file"),
        ([str(photos), *out, "-w", ""], 1, "no such file"),
        ([str(photos), *out, "--conf", "2"], 1, "conf: 2"),
        ([str(photos), *out, "--device", "gpu"], 1, "`gpu` is no device"),
        ([str(photos), "-o", "/proc/out"], 1, "/proc/out: cannot be made"),
        ([str(tmp_path), *out], 3, "no image found"),
    ]:
        assert command.main(words) == code
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert len(errors) == 1 and expected_words in errors[0]
    for words, code in [(["--help"], 0), ([str(photos), *out, "--part-size", "0"], 1), ([str(photos)], 1)]:
        with pytest.raises(SystemExit) as ended:
            command.main(words)
        assert ended.value.code == code
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["ray", "pyspark", "pyarrow"])
def test_a_missing_package_is_named(missing: str) -> None:
    name = "spark" if missing == "pyspark" else "ray"
    # As if it was not installed.
    script = f"import sys; sys.modules[{missing!r}] = None; import runpy; runpy.run_module('yolo9_rs.{name}', run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", script, "a", "-o", "b"], check=False, capture_output=True, text=True)
    assert ended.returncode == 1 and f"pip install 'yolo9-rs[{name}]'" in ended.stderr, ended.stderr
    assert "Traceback" not in ended.stderr


def test_rays_own_pipelines_can_have_detectors() -> None:
    ray = pytest.importorskip("ray")
    import ray.data

    from yolo9_rs.ray import SCHEMA, Detect

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        images = ray.data.read_binary_files([str(path) for path in PARCELS[:6]], include_paths=True)
        keywords = {"imgsz": SIZE, "readers": 2}
        boxes = images.map_batches(Detect, fn_constructor_kwargs=keywords, concurrency=1, num_cpus=1, batch_size=4)
        rows = {os.path.basename(row["path"]): row for row in boxes.take_all()}
        paths = ray.data.from_items([{"path": str(path)} for path in [*PARCELS[:2], "none.jpg"]])
        by_path = paths.map_batches(Detect, fn_constructor_kwargs=keywords, concurrency=1, num_cpus=1).take_all()
    finally:
        ray.shutdown()
    expected = by_program(*PARCELS[:6], options=f"--imgsz {SIZE}")
    for path, image in zip(PARCELS, expected):
        assert as_program_says(rows[path.name]) == image["detections"]
    assert sorted(row["error"] or "" for row in by_path)[2] == "no such file" and SCHEMA.names == list(by_path[0])
