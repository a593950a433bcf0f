"""Makes PySpark importable from its source archive, which holds everything that its wheel would.

    python link_spark.py FOLDER
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

VERSION = "4.3.0"
LINKS = {"jars": "deps/jars", "bin": "deps/bin", "sbin": "deps/sbin", "data": "deps/data", "python/lib": "lib"}


def main(folder: Path) -> None:
    """Downloads and links it, unless that has been done."""
    root = folder / f"pyspark-{VERSION}"
    if not root.is_dir():
        words = ["download", "-q", "--no-deps", "--no-binary", ":all:", f"pyspark=={VERSION}", "-d", str(folder)]
        subprocess.run([sys.executable, "-m", "pip", *words], check=True)
        with tarfile.open(folder / f"pyspark-{VERSION}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        for name, target in LINKS.items():
            link = root / "pyspark" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(root.resolve() / target, target_is_directory=True)
    packages = Path(sysconfig.get_path("purelib"))
    (packages / "spark.pth").write_text(f"{root.resolve()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
