"""What tests share: images, the program's own results, a bucket."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import yolo9_rs
from yolo9_rs._program import environment, program

REPOSITORY = Path(__file__).resolve().parents[2]
PARCELS = sorted((REPOSITORY / "models/parcels/images").glob("*.jpg"))
SAMPLE = REPOSITORY / "models/sample-parcels.jpg"
SIZE = 160
"""Of the network's input in most tests: what is tested is not how much it finds."""


@pytest.fixture(scope="session")
def detector() -> yolo9_rs.Detector:
    return yolo9_rs.Detector(threads=2)


def by_program(*inputs: Path | str, options: str = "") -> list[dict[str, Any]]:
    """What ``yolo9 detect --json -`` says."""
    words = [str(program()), "-q", "detect", *map(str, inputs), "--no-draw", "--json", "-", *options.split()]
    ended = subprocess.run(words, check=False, stdout=subprocess.PIPE, env=environment())
    assert ended.returncode in (0, 2), ended
    result: list[dict[str, Any]] = json.loads(ended.stdout)
    return result


def many(folder: Path, count: int, broken: int) -> list[str]:
    """A folder of images, some of them broken; the names of these."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(count):
        path = folder / f"{number:05}.jpg"
        if broken and number % (count // broken) == 7:
            path.write_bytes(PARCELS[0].read_bytes()[:5000])
            names.append(path.name)
        else:
            shutil.copy(PARCELS[number % len(PARCELS)], path)
    return names


def rows_of(folder: str | Path) -> list[dict[str, Any]]:
    """All rows of the Parquet files of a folder or bucket, by path."""
    import pyarrow.dataset

    from yolo9_rs._storage import locate

    place = locate(folder)
    dataset = pyarrow.dataset.dataset(place.path, filesystem=place.filesystem, format="parquet")
    rows: list[dict[str, Any]] = dataset.to_table().to_pylist()
    return sorted(rows, key=lambda row: str(row["path"]))


def as_program_says(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The detections of a row, rounded as in the program's JSON."""
    from yolo9_rs._detections import _rounded

    return [
        {
            "class": found["class_id"],
            "name": found["name"],
            "confidence": _rounded(found["confidence"], 1e5),
            "box": {edge: _rounded(found[edge], 1e3) for edge in ("x1", "y1", "x2", "y2")},
        }
        for found in row["detections"]
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def until_open(port: int) -> None:
    """Waits for a server."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(port)


class Bucket:
    """A bucket of a server of our own."""

    def __init__(self, endpoint: str) -> None:
        import boto3

        self.name = "photos"
        self.uri = f"s3://{self.name}"
        self.client = boto3.client("s3", endpoint_url=endpoint)
        self.client.create_bucket(Bucket=self.name)

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    """An S3 server in a process of its own, which the usual variables name."""
    pytest.importorskip("moto")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        until_open(port)
        yield Bucket(endpoint)
    finally:
        server.kill()
        server.wait()
        os.environ.clear()
        os.environ.update(before)
