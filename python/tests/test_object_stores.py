"""The program reads and writes object stores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PARCELS, REPOSITORY, SIZE, Bucket, by_program, free_port, until_open

from yolo9_rs._program import environment, program

MODEL = REPOSITORY / "models/codes-nearest.safetensors"
SEVERAL_PAGES = 1005


PROGRAM = os.environ.get("YOLO9_WITH_CLOUD") or str(program())
"""One that was built with object stores."""


def detect(*words: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    line = [PROGRAM, "-q", "detect", "--no-draw", "--imgsz", str(SIZE), *words]
    ended = subprocess.run(line, check=False, capture_output=True, text=True, env=environment() | variables)
    assert ended.returncode == code, ended.stderr
    return ended


@pytest.fixture(scope="module")
def photos(bucket: Bucket) -> str:
    """Images in folders of a bucket, one of them broken, among more keys than a page of a listing has."""
    for number in range(SEVERAL_PAGES):
        bucket.put(f"photos/a/note-{number}.txt", b"no image")
    for path in PARCELS[:4]:
        bucket.put(f"photos/b c/{path.name}", path.read_bytes())
    bucket.put("photos/z [1].JPG", PARCELS[4].read_bytes())
    bucket.put("photos/zz.png", b"broken")
    bucket.put("weights/nearest.safetensors", MODEL.read_bytes())
    return f"{bucket.uri}/photos"


@pytest.fixture(scope="module")
def expected() -> list[Any]:
    found = by_program(*PARCELS[:5], options=f"-w {MODEL} --imgsz {SIZE}")
    return [image["detections"] for image in found]


def test_folders_weights_and_results_may_be_in_a_bucket(bucket: Bucket, photos: str, expected: list[Any]) -> None:
    out = f"{bucket.uri}/out/boxes.jsonl"
    said = detect(photos, "-w", f"{bucket.uri}/weights/nearest.safetensors", "--jsonl", out, code=2).stderr
    assert f"{photos}/zz.png: not an image" in said
    images = [json.loads(line) for line in bucket.get("out/boxes.jsonl").decode().splitlines()]
    assert [image["image"] for image in images] == [*(f"{photos}/b c/{path.name}" for path in PARCELS[:4]), f"{photos}/z [1].JPG"]
    assert [image["detections"] for image in images] == expected


def test_patterns_lists_and_single_objects(bucket: Bucket, photos: str, expected: list[Any], tmp_path: Path) -> None:
    def names(*words: str) -> list[str]:
        found = json.loads(detect(*words, "-w", str(MODEL), "--json", "-").stdout)
        assert [image["detections"] for image in found] == expected[: len(found)]
        return [image["image"].removeprefix(photos) for image in found]

    four = [f"/b c/{path.name}" for path in PARCELS[:4]]
    assert names(f"{photos}/**/*.jpg") == four
    assert names(f"{photos}/b*/{PARCELS[0].name}") == four[:1]
    assert names(f"{photos}{four[0]}") == four[:1]
    bucket.put("list.txt", "\n".join(f"{photos}{name}" for name in four[:2]).encode())
    assert names(f"{bucket.uri}/list.txt") == four[:2]
    # A list has a number of images, so such a run can be divided and resumed.
    (tmp_path / "list.txt").write_text("".join(f"{photos}{name}\n" for name in four))
    out = ["--out", str(tmp_path / "run"), "--jsonl", str(tmp_path / "boxes.jsonl"), "-w", str(MODEL)]
    detect(str(tmp_path / "list.txt"), *out)
    detect(str(tmp_path / "list.txt"), *out, "--resume")
    assert len((tmp_path / "boxes.jsonl").read_text().splitlines()) == 4


def test_what_cannot_be_is_said(bucket: Bucket, photos: str, tmp_path: Path) -> None:
    assert "no such object or bucket" in detect("s3://nothing-here/x.jpg", code=2).stderr
    assert "cannot be listed: there is no such object or bucket" in detect("s3://nothing-here/x", code=2).stderr
    assert "no bucket in it" in detect("s3:///x.jpg", code=2).stderr
    assert "no such object" in detect(str(PARCELS[0]), "-w", f"{bucket.uri}/none.pt", code=1).stderr
    assert "give a local folder" in detect(photos, "--out", f"{bucket.uri}/out", code=1).stderr
    assert ".txt list" in detect(photos, "--shard", "1/2", "--jsonl", "x", code=1).stderr
    assert "--offline" in detect(photos, "--offline", code=3).stderr
    # Results are kept where they cannot be written.
    said = detect(str(PARCELS[0]), "--jsonl", "s3://nothing-here/x.jsonl", code=1).stderr
    kept = said.rpartition("its content is in ")[2].strip()
    assert json.loads(Path(kept).read_text())["image"] == str(PARCELS[0])
    # Nobody reads credentials in messages.
    secret = {"AWS_SECRET_ACCESS_KEY": "very-secret", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    said = detect(photos, code=2, **secret).stderr
    assert "no image found" in detect(f"{bucket.uri}/nothing-below-it/", code=3).stderr
    assert "very-secret" not in said and "cannot be listed" in said
    assert os.environ["AWS_ENDPOINT_URL"] not in said


def test_google_is_listed_and_read(bucket: Bucket, photos: str, expected: list[Any], tmp_path: Path) -> None:
    # Its listings and objects over XML are those of S3, so that the same server answers whoever needs no signature.
    account = {"gcs_base_url": os.environ["AWS_ENDPOINT_URL"], "disable_oauth": True, "client_email": "", "private_key": ""}
    (tmp_path / "account.json").write_text(json.dumps({**account, "private_key_id": ""}))
    for key in bucket.keys(""):
        bucket.client.put_object_acl(Bucket=bucket.name, Key=key, ACL="public-read")
    bucket.client.put_bucket_acl(Bucket=bucket.name, ACL="public-read")
    variables: dict[str, Any] = {"GOOGLE_SERVICE_ACCOUNT": str(tmp_path / "account.json")}
    weights = f"gs://{bucket.name}/weights/nearest.safetensors"
    found = json.loads(detect(f"gs://{bucket.name}/photos/**/*.jpg", "-w", weights, "--json", "-", **variables).stdout)
    assert [image["image"] for image in found] == [f"gs://{bucket.name}/photos/b c/{path.name}" for path in PARCELS[:4]]
    assert [image["detections"] for image in found] == expected[:4]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A web server that lists folders by WebDAV."""
    pytest.importorskip("wsgidav")
    root = tmp_path_factory.mktemp("web")
    for name in ("a/1.jpg", "a/ü 2%20.jpg", "a/deep/er/3.jpg", "b.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PARCELS[0], root / name)
    (root / "a/note.txt").write_text("no image")
    shutil.copy(MODEL, root / "nearest.safetensors")
    port = free_port()
    words = ["-m", "wsgidav.server.server_cli", "--host", "127.0.0.1", "--port", str(port), "--root", str(root), "--auth", "anonymous", "--no-config"]
    server = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_open(port)
        (root / "list.txt").write_text(f"# two\nb.jpg\nhttp://127.0.0.1:{port}/a/1.jpg\n")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def test_folders_of_web_servers_are_listed(web: str, expected: list[Any]) -> None:
    def names(*words: str) -> list[str]:
        found = json.loads(detect(*words, "-w", f"{web}/nearest.safetensors", "--json", "-").stdout)
        assert all(image["detections"] == expected[0] for image in found)
        return [image["image"].removeprefix(web) for image in found]

    inside = ["/a/1.jpg", "/a/ü 2%20.jpg", "/a/deep/er/3.jpg"]
    assert names(f"{web}/") == ["/b.jpg", *inside]
    assert names(f"{web}/a/") == inside
    assert names(f"{web}/a/*.jpg") == inside[:2]
    assert names(f"{web}/**/deep/**/*.jpg") == inside[2:]
    assert names(f"{web}/a/deep%2Fer/") == inside[2:]
    assert names(f"{web}/list.txt") == ["/b.jpg", "/a/1.jpg"]


def test_web_servers_that_do_not_list_are_told_apart(web: str, bucket: Bucket) -> None:
    assert f"no image found in {web}/none/" in detect(f"{web}/none/", code=3).stderr
    said = detect(f"{os.environ['AWS_ENDPOINT_URL']}/photos/", code=2).stderr
    assert "cannot be listed" in said and "WebDAV" in said
    assert "404" in detect(str(PARCELS[0]), "-w", f"{web}/none.pt", code=1).stderr


def test_a_program_without_them_says_so() -> None:
    if PROGRAM == str(program()):
        pytest.skip("this one has them")
    for source in ("s3://bucket/photos", "https://host.invalid/photos/"):
        words = [str(program()), "-q", "detect", source, "--no-draw"]
        ended = subprocess.run(words, check=False, capture_output=True, text=True, env=environment())
        assert ended.returncode == 2 and "built without object stores" in ended.stderr
    words = [str(program()), "train", "--data", "data.yaml", "--config", "gelan-t", "--out", "out"]
    ended = subprocess.run(words, check=False, capture_output=True, text=True, env=environment())
    assert ended.returncode == 1 and "built without training" in ended.stderr
