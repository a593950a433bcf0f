"""Files on disk and in object stores, by the file systems of Arrow: ``photos/``, ``s3://bucket/photos``, ``gs://bucket/photos``.

Credentials are those of the usual variables and files of each store, which Arrow reads itself.
"""

from __future__ import annotations

import functools
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyarrow import fs

from ._native import IMAGE_EXTENSIONS, MAX_IMAGE_BYTES

EXTENSIONS = tuple(f".{extension}" for extension in IMAGE_EXTENSIONS)
"""Of the files that are taken from a folder, as the program does."""

_PATTERN = re.compile(r"[*?\[]")


class StorageError(Exception):
    """A file or folder that cannot be read or written; the message names it. ``passing`` is whether it may be otherwise
    another time."""

    def __init__(self, message: str, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


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
    scheme = scheme.lower()
    if not separator or scheme == "file":
        # Absolute, since workers have other working folders, and one file has one name.
        return Location(_local(), os.path.abspath(path if separator else text), "")
    bucket = path.split("/")[0]
    if not bucket or _PATTERN.search(bucket):
        raise StorageError(f"{text}: expected the name of a bucket after {scheme}://")
    try:
        filesystem = _filesystem(scheme, bucket)
    except Exception as error:  # Arrow has a class for each reason.
        raise StorageError(f"{text}: {error}") from error
    return Location(filesystem, path.rstrip("/"), f"{scheme}://")


@functools.lru_cache
def _local() -> Any:
    return fs.LocalFileSystem()


@functools.lru_cache(maxsize=64)
def _filesystem(scheme: str, bucket: str) -> Any:
    return _s3(bucket) if scheme == "s3" else fs.FileSystem.from_uri(f"{scheme}://{bucket}")[0]


def _s3(bucket: str) -> Any:
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
        region = fs.resolve_s3_region(bucket)
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
        raise StorageError(f"{location}: {reason(error)}", passing=not isinstance(error, FileNotFoundError)) from error


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
        for line in read(location).decode("utf-8-sig", "replace").split("\n"):
            name = line.strip()
            if name and not name.startswith("#"):
                # As the program reads lists: relative to their own folder.
                beside = "://" not in name and not os.path.isabs(name)
                yield locate(f"{location.uri(os.path.dirname(location.path))}/{name}" if beside else name)
    elif info.type == fs.FileType.File:
        yield location
    elif info.type == fs.FileType.Directory:
        yield from (found for found in _descend(location, None, ()) if found.path.lower().endswith(EXTENSIONS))
    else:
        raise StorageError(f"{location}: no such file, folder or bucket")


def _info(location: Location) -> Any:
    try:
        return location.filesystem.get_file_info(location.path)
    except OSError as error:
        raise StorageError(f"{location}: {reason(error)}") from error


def _listed(folder: Location) -> list[Any]:
    try:
        infos = folder.filesystem.get_file_info(fs.FileSelector(folder.path or ".", allow_not_found=False))
    except OSError as error:
        raise StorageError(f"{folder}: {reason(error)}") from error
    except UnicodeDecodeError as error:
        raise StorageError(f"{folder}: has a file whose name is not UTF-8; rename it") from error
    return sorted(infos, key=lambda info: info.base_name)


def _matching(pattern: str) -> Iterator[Location]:
    """Files of a pattern: ``*`` and ``?`` within a name, ``**`` for any number of folders."""
    parts = pattern.split("/")
    fixed = next(n for n, part in enumerate(parts) if _PATTERN.search(part))
    base = locate("/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else "."))
    try:
        wanted = _expression(parts[fixed:])
    except re.error as error:
        raise StorageError(f"{pattern}: not a pattern: {error}") from error
    depth = None if "**" in parts else len(parts) - fixed
    found = False
    for location in _descend(base, depth, ()):
        relative = location.path[len(base.path) :].lstrip("/")
        if wanted.fullmatch(relative):
            found = True
            yield location
    if not found:
        raise StorageError(f"{pattern}: no file matches")


def _descend(folder: Location, depth: int | None, above: tuple[str, ...]) -> Iterator[Location]:
    """All files below a folder, that many levels of it; links to a folder above are not followed."""
    if isinstance(folder.filesystem, fs.LocalFileSystem):
        real = os.path.realpath(folder.path)
        if real in above:
            return
        above = (*above, real)
    for info in _listed(folder):
        here = Location(folder.filesystem, info.path, folder.prefix)
        if info.type != fs.FileType.Directory:
            if depth is None or depth == 1:
                yield here
        elif depth is None or depth > 1:
            yield from _descend(here, None if depth is None else depth - 1, above)


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
    inside = re.sub(r"([\\\[&~|])", r"\\\1", token[1:-1])
    return f"[^/{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
