"""Rows of many images, and where images are found."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import PARCELS, SAMPLE, Bucket, as_program_says, by_program

import yolo9_rs

pa = pytest.importorskip("pyarrow")

from yolo9_rs._storage import StorageError, images, locate, read, write  # noqa: E402
from yolo9_rs._table import SCHEMA, Row, to_table  # noqa: E402
from yolo9_rs._work import Model, encode, finished, part_name, parts, remaining, todo  # noqa: E402


def test_a_table_has_the_numbers_of_the_detector(detector: yolo9_rs.Detector) -> None:
    found, empty = detector.detect(SAMPLE), detector.detect(np.zeros((40, 30, 3), np.uint8))
    table = to_table([Row("a", found), Row("b", "broken"), Row("c", empty), Row("d", found)])
    assert table.schema == SCHEMA
    table.validate(full=True)
    rows = table.to_pylist()
    assert rows[1] == {"path": "b", "width": None, "height": None, "detections": None, "error": "broken"}
    assert rows[2] == {"path": "c", "width": 30, "height": 40, "detections": [], "error": None}
    for row in (rows[0], rows[3]):
        assert [each["confidence"] for each in row["detections"]] == found.confidence.tolist()
        assert [[each[edge] for edge in ("x1", "y1", "x2", "y2")] for each in row["detections"]] == found.xyxy.tolist()
        assert as_program_says(row) == by_program(SAMPLE)[0]["detections"]
    assert to_table([]).schema == SCHEMA and to_table([Row("b", "x")]).num_rows == 1


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_images_are_found_as_the_program_finds_them(tmp_path: Path) -> None:
    _touch(tmp_path, "b.JPG", "a.png", "notes.txt", "sub/c.webp", "sub/deep/d.jpg", ".hidden/e.jpg", "odd [1] ü.jpg")

    def names(source: str) -> list[str]:
        return [os.path.relpath(str(found), tmp_path) for found in images(tmp_path / source)]

    assert names("") == [".hidden/e.jpg", "a.png", "b.JPG", "odd [1] ü.jpg", "sub/c.webp", "sub/deep/d.jpg"]
    assert names("a.png") == ["a.png"]
    assert names("odd [1] ü.jpg") == ["odd [1] ü.jpg"]
    assert names("*.png") == ["a.png"]
    assert names("**/*.jpg") == [".hidden/e.jpg", "odd [1] ü.jpg", "sub/deep/d.jpg"]
    assert names("s?b/*.webp") == ["sub/c.webp"]
    assert names("[!a].JPG") == ["b.JPG"]
    (tmp_path / "list.txt").write_text(f"\ufeff# names\n{tmp_path}/a.png\n\nsub/c.webp\n")
    assert names("list.txt") == ["a.png", "sub/c.webp"]
    assert names("./sub/../*.png") == ["a.png"]
    (tmp_path / "sub/deep/loop").symlink_to(tmp_path / "sub", target_is_directory=True)
    assert names("sub") == ["sub/c.webp", "sub/deep/d.jpg"]
    for wrong in ("none", "*.bmp", "[z-a].jpg"):
        with pytest.raises(StorageError, match=r"none|no file matches|not a pattern"):
            names(wrong)
    for wrong in ("s3://", "s3://buck*/x"):
        with pytest.raises(StorageError, match="name of a bucket"):
            list(images(wrong))
    with pytest.raises(StorageError, match="nonsense"):
        list(images("nonsense://a"))


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    place = locate(tmp_path / "a/b.bin")
    write(place, b"12345")
    assert read(place) == b"12345" and os.listdir(tmp_path / "a") == ["b.bin"]
    with pytest.raises(StorageError, match="the limit is 3"):
        read(place, 3)
    with pytest.raises(StorageError, match=r"none\.jpg: no such file"):
        read(locate(tmp_path / "none.jpg"))
    with pytest.raises(StorageError, match="cannot be written"):
        write(locate(tmp_path / "a/b.bin/c"), b"")


def test_what_is_done_is_in_the_files(tmp_path: Path, detector: yolo9_rs.Detector) -> None:
    model = Model.load(None, {"conf": 0.3, "device": "cpu"})
    paths = [str(path) for path in PARCELS[:5]]
    done, left = paths[:2], paths[2:]
    content, _ = encode([Row(path, detector.detect(path)) for path in done], model.settings)
    write(locate(tmp_path / part_name(done)), content)
    assert finished(locate(tmp_path), model.settings).paths == set(done)
    # What could not be read is done again, with its part; what is broken is not.
    for error, again in (("broken", ()), ("cannot be read: timeout", (("a", "b"),))):
        content, _ = encode([Row("a", error), Row("b", "x")], model.settings)
        write(locate(tmp_path / "part-again.parquet"), content)
        assert finished(locate(tmp_path), model.settings).again == again
    assert todo([], finished(locate(tmp_path), model.settings), 9) == [["a", "b"]]
    (tmp_path / "part-again.parquet").unlink()
    content, _ = encode([Row(path, detector.detect(path)) for path in done], model.settings)
    assert list(remaining([*paths, paths[3]], finished(locate(tmp_path), model.settings))) == left
    assert [len(part) for part in parts(paths, 2)] == [2, 2, 1]
    assert part_name(left) == part_name(list(left)) != part_name(done)
    with pytest.raises(StorageError, match="conf 0.3, now 0"):
        finished(locate(tmp_path), Model.load(None, {"conf": 0.0, "device": "cpu"}).settings)
    (tmp_path / "part-x.parquet").write_bytes(content[:100])
    with pytest.raises(StorageError, match=r"part-x\.parquet: damaged"):
        finished(locate(tmp_path), model.settings)
    assert finished(locate(tmp_path / "none"), {}).files == 0


def test_buckets_are_read_and_written(bucket: Bucket) -> None:
    for key in ("tree/b.jpg", "tree/sub/c d.png", "tree/notes.txt"):
        bucket.put(key, key.encode())
    found = list(images(f"{bucket.uri}/tree"))
    assert [str(location) for location in found] == [f"{bucket.uri}/tree/b.jpg", f"{bucket.uri}/tree/sub/c d.png"]
    assert [read(location) for location in found] == [b"tree/b.jpg", b"tree/sub/c d.png"]
    assert [str(location) for location in images(f"{bucket.uri}/tree/**/*.png")] == [f"{bucket.uri}/tree/sub/c d.png"]
    write(locate(f"{bucket.uri}/out/x.bin"), b"content")
    assert bucket.get("out/x.bin") == b"content"
    with pytest.raises(StorageError, match=r"tree/none\.jpg"):
        read(locate(f"{bucket.uri}/tree/none.jpg"))
    with pytest.raises(StorageError, match="nothing-here"):
        list(images("s3://nothing-here/x"))
