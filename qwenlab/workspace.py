"""Where everything a person makes lives: one folder, passed in as one object."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from qwenlab.errors import QwenlabError

_HERE = Path(__file__).resolve().parent
INSTALLED = (_HERE / "shipped").is_dir()
"""Whether this is an installed package, and not a checkout of the project."""
SHIPPED = _HERE / "shipped" if INSTALLED else _HERE.parent
"""The folder that holds the shipped data/ and eval_suites/."""


@dataclass(frozen=True)
class Workspace:
    """The folder with models, data sets, runs, results and exports."""

    root: Path

    @classmethod
    def default(cls) -> Workspace:
        """$QWENLAB_HOME, or `workspace/` in the checkout, or `qwenlab/` in the home folder when installed."""
        usual = Path.home() / "qwenlab" if INSTALLED else SHIPPED / "workspace"
        home = os.environ.get("QWENLAB_HOME")
        return cls(Path(home).expanduser().resolve() if home else usual)

    @property
    def models(self) -> Path:
        """Ready Hugging Face folders, one per catalogue model."""
        return self._folder("models")

    @property
    def data(self) -> Path:
        """The person's own data sets; the shipped ones are copied here before they are edited."""
        return self._folder("data")

    @property
    def edits(self) -> Path:
        """Logs of edits that a data set's file does not have yet, one folder a file."""
        return self._folder("edits")

    @property
    def suites(self) -> Path:
        """The person's own test suites."""
        return self._folder("eval_suites")

    @property
    def runs(self) -> Path:
        """Training runs, one folder each."""
        return self._folder("runs")

    @property
    def adapters(self) -> Path:
        """Adapters from elsewhere, one folder each, for the person to put there."""
        return self._folder("adapters")

    @property
    def results(self) -> Path:
        """Test results, one folder each."""
        return self._folder("results")

    @property
    def exports(self) -> Path:
        """Merged and quantized models, one folder each."""
        return self._folder("exports")

    @property
    def jobs(self) -> Path:
        """Test and export jobs started from the page: their events and logs."""
        return self._folder("jobs")

    @property
    def talks(self) -> Path:
        """Conversations of the Compare tab, one file each, and the verdicts on their answers."""
        return self._folder("talks")

    @property
    def batches(self) -> Path:
        """Lists of messages that contestants answered, one folder each."""
        return self._folder("batches")

    @property
    def cache(self) -> Path:
        """Answers that need not be given twice; it may be deleted at any time."""
        return self._folder("cache")

    def check(self) -> None:
        """Make sure that something can be written here.

        Raises:
            QwenlabError: when it cannot: the folder or its disk is read-only, or the disk is full.
        """
        try:
            with tempfile.TemporaryFile(dir=self._folder("uploads")) as file:
                file.write(b"x" * 4096)
        except OSError as error:
            raise QwenlabError(
                f"Nothing can be written to the workspace {self.root}: {error.strerror}. What is in it is unchanged.",
                "Free some disk space, mend its permissions, or name another folder with --workspace.",
                zh=(
                    f"无法写入工作区 {self.root}：{error.strerror}。其中的内容没有改动。",
                    "请释放磁盘空间、修改权限，或用 --workspace 指定其他文件夹。",
                ),
            ) from error

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise QwenlabError(
                f"The folder {folder} cannot be made: {error.strerror}.",
                "Name a folder you may write to, with --workspace or QWENLAB_HOME.",
                zh=(
                    f"无法建立文件夹 {folder}：{error.strerror}。",
                    "请用 --workspace 或 QWENLAB_HOME 指定一个可写的文件夹。",
                ),
            ) from error
        return folder
