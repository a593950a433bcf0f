"""Files on disk and in object stores, by the file systems of Arrow: ``photos/``, ``s3://bucket/photos``, ``gs://bucket/photos``.

Credentials are those of the usual variables and files of each store, which Arrow reads itself.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyarrow import fs

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""Of the files that are taken from a folder, as the program does."""

MAX_IMAGE_BYTES = 256 << 20
"""As the program; a larger file is an error of that image."""

MAX_MODEL_BYTES = 2 << 30

_PATTERN = re.compile(r"[*?\[]")


class StorageError(Exception):
    """A file or folder that cannot be read or written; the message names it."""


@dataclass(frozen=True)
class Location:
    """A place in a file system, and how people write it."""

    filesystem: Any
    path: str
    prefix: str
    """What stands before the path in a URI, or nothing."""

    def uri(self, path: str) -> str:
        """Another path of the same file system, as people write it."""
        return self.prefix + path

    def __str__(self) -> str:
        return self.uri(self.path)


def locate(place: str | os.PathLike[str]) -> Location:
    """What a path or URI names.

    Raises:
        StorageError: No such kind of URI.
    """
    text = os.fspath(place)
    scheme, separator, path = text.partition("://")
    if not separator:
        return Location(fs.LocalFileSystem(), text, "")
    scheme = scheme.lower()
    if scheme == "file":
        return Location(fs.LocalFileSystem(), path, "file://")
    try:
        filesystem = _s3(path) if scheme == "s3" else fs.FileSystem.from_uri(f"{scheme}://{path.split('/')[0]}")[0]
    except Exception as error:  # Arrow has a class for each reason.
        raise StorageError(f"{text}: {error}") from error
    return Location(filesystem, path.rstrip("/"), f"{scheme}://")


def _s3(path: str) -> Any:
    """By the variables that the tools of AWS and the program know, too. Without a region it is that of the bucket."""
    keywords: dict[str, Any] = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT")
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        keywords = {"endpoint_override": host.rstrip("/"), "scheme": scheme or "https"}
    if os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true"):
        keywords["anonymous"] = True
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not (region or endpoint):
        region = fs.resolve_s3_region(path.split("/")[0])
    return fs.S3FileSystem(region=region, **keywords)


def read(location: Location, limit: int = MAX_IMAGE_BYTES) -> bytes:
    """All bytes of a file.

    Raises:
        StorageError: It cannot be read, or is longer than the limit.
    """
    try:
        with location.filesystem.open_input_file(location.path) as file:
            size = file.size()
            if size > limit:
                raise StorageError(f"{location}: {size} bytes; the limit is {limit}")
            return bytes(file.read())
    except OSError as error:
        raise StorageError(f"{location}: {reason(error)}") from error


def write(location: Location, content: Any) -> None:
    """A file that is there only when it is complete: renamed on disk, and put in one piece into an object store.

    Raises:
        StorageError: It cannot be written.
    """
    local = isinstance(location.filesystem, fs.LocalFileSystem)
    path = f"{location.path}.{uuid.uuid4().hex[:8]}.tmp" if local else location.path
    try:
        if local:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with location.filesystem.open_output_stream(path) as stream:
            stream.write(content)
        if local:
            os.replace(path, location.path)
    except OSError as error:
        if local and os.path.exists(path):
            os.unlink(path)
        raise StorageError(f"{location}: cannot be written: {reason(error)}") from error


def reason(error: OSError) -> str:
    """Why, without the stack of Arrow's own words where that is known."""
    text = str(error)
    if isinstance(error, PermissionError) or "ACCESS_DENIED" in text or "AccessDenied" in text:
        return "access denied; check the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for s3) and their rights"
    if "NO_SUCH_BUCKET" in text or "NoSuchBucket" in text:
        return "there is no such bucket"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return error.strerror or text


def images(source: str | os.PathLike[str]) -> Iterator[Location]:
    """The images of a folder (with all below), a pattern, a list (``.txt``, one a line) or a single file, in the order of
    their names. A folder is listed when it is its turn.

    Raises:
        StorageError: It is not there, or cannot be listed.
    """
    text = os.fspath(source)
    location = locate(text)
    info = _info(location)
    # What has that very name is no pattern.
    if info.type == fs.FileType.NotFound and _PATTERN.search(text):
        yield from _matching(text)
    elif location.path.lower().endswith(".txt"):
        for line in read(location).decode("utf-8", "replace").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield locate(line.strip())
    elif info.type == fs.FileType.File:
        yield location
    elif info.type == fs.FileType.Directory:
        yield from _below(location)
    else:
        raise StorageError(f"{location}: no such file, folder or bucket")


def _info(location: Location) -> Any:
    try:
        return location.filesystem.get_file_info(location.path)
    except OSError as error:
        raise StorageError(f"{location}: {reason(error)}") from error


def _below(folder: Location) -> Iterator[Location]:
    for info in _listed(folder):
        here = Location(folder.filesystem, info.path, folder.prefix)
        if info.type == fs.FileType.Directory:
            yield from _below(here)
        elif info.base_name.lower().endswith(EXTENSIONS):
            yield here


def _listed(folder: Location) -> list[Any]:
    try:
        infos = folder.filesystem.get_file_info(fs.FileSelector(folder.path or ".", allow_not_found=False))
    except OSError as error:
        raise StorageError(f"{folder}: {reason(error)}") from error
    return sorted(infos, key=lambda info: info.base_name)


def _matching(pattern: str) -> Iterator[Location]:
    """Files of a pattern: ``*`` and ``?`` within a name, ``**`` for any number of folders."""
    parts = pattern.split("/")
    fixed = next(n for n, part in enumerate(parts) if _PATTERN.search(part))
    base = locate("/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else "."))
    wanted = _expression(parts[fixed:])
    depth = None if "**" in parts else len(parts) - fixed
    found = False
    for location in _descend(base, depth):
        relative = location.path[len(base.path) :].lstrip("/") if base.path != "." else location.path.removeprefix("./")
        if wanted.fullmatch(relative):
            found = True
            yield location
    if not found:
        raise StorageError(f"{pattern}: no file matches")


def _descend(folder: Location, depth: int | None) -> Iterator[Location]:
    for info in _listed(folder):
        here = Location(folder.filesystem, info.path, folder.prefix)
        if info.type != fs.FileType.Directory:
            if depth is None or depth == 1:
                yield here
        elif depth is None or depth > 1:
            yield from _descend(here, None if depth is None else depth - 1)


def _expression(parts: list[str]) -> re.Pattern[str]:
    text = ""
    for n, part in enumerate(parts):
        last = n == len(parts) - 1
        if part == "**":
            text += ".*" if last else "(?:.*/)?"
        else:
            text += _TOKEN.sub(lambda token: _SIGNS.get(token[0]) or _group(token[0]), part) + ("" if last else "/")
    return re.compile(text)


_TOKEN = re.compile(r"\[[^]]+\]|.", re.DOTALL)
_SIGNS = {"*": "[^/]*", "?": "[^/]"}


def _group(token: str) -> str:
    """``[ab]`` and ``[!ab]`` of a pattern; anything else stands for itself."""
    if len(token) == 1:
        return re.escape(token)
    inside = token[1:-1].replace("\\", r"\\")
    return f"[^/{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
