"""Room on the disk, asked for before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from qwenlab.errors import QwenlabError


def check_room(folder: Path, needed: int) -> None:
    """Refuse to begin what cannot end.

    Args:
        needed: bytes that will be written into the folder.

    Raises:
        QwenlabError: saying how much is needed and free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise QwenlabError(
            f"The export needs {needed / 1e9:.2f} GB, and the disk has {free / 1e9:.2f} GB left.",
            "Free some disk space or choose another folder.",
            zh=(
                f"导出需要 {needed / 1e9:.2f} GB，而磁盘只剩 {free / 1e9:.2f} GB。",
                "请释放磁盘空间，或选择其他文件夹。",
            ),
        )
