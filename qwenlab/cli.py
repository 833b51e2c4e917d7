"""The command line: the page, and the same verbs without it. Exit 0 done, 1 a gate or check failed, 2 could not run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from qwenlab import __version__
from qwenlab.commands import (
    adapter,
    batch,
    chat,
    data,
    demo,
    export,
    models,
    prove,
    report,
    serve,
    suite,
    test,
    train,
    user,
    verify,
)
from qwenlab.commands.console import DONE, FAILED, Console
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job, Outcome
from qwenlab.ui import serving
from qwenlab.workspace import Workspace

STOPPED_ZH = ("已手动停止。", "已完成的部分已保留。")


def parser() -> argparse.ArgumentParser:
    """The parser with every verb; each verb's module adds its own."""
    top = argparse.ArgumentParser(prog="qwenlab", description=__doc__)
    top.add_argument("--version", action="version", version=f"qwenlab {__version__}")
    top.add_argument("--workspace", type=Path, help="folder of models, runs and results (or QWENLAB_HOME)")
    top.add_argument("--job", type=Path, help=argparse.SUPPRESS)  # how the page follows a verb it started
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    rooms = (models, data, train, chat, batch, suite, test, report, export, adapter, prove, verify, serve, demo, user)
    for room in rooms:
        room.add_verbs(verbs)
    page = verbs.add_parser("lab", help="open the page for a browser, on 127.0.0.1 unless told otherwise")
    serving.add_flags(page)
    page.set_defaults(run=_lab)
    return top


def _lab(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    serving.serve(chosen, workspace, console.say)
    return DONE


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    chosen = parser().parse_args(argv)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' bars would tear ours
    workspace = Workspace(chosen.workspace.expanduser().resolve()) if chosen.workspace else Workspace.default()
    job = Job(chosen.job) if chosen.job else None
    console = Console(machine=getattr(chosen, "json", False), job=job)
    failure: QwenlabError | None = None
    ended_by_hand = False
    try:
        with console.alone():
            code: int = chosen.run(chosen, workspace, console)
    except QwenlabError as error:
        failure, code = error, FAILED
    except KeyboardInterrupt:
        ended_by_hand = True
        failure, code = QwenlabError("Stopped by you.", "What was finished is kept.", zh=STOPPED_ZH), FAILED
    except Exception as error:
        from qwenlab.failures import explain

        if job or os.environ.get("QWENLAB_DEBUG"):
            import traceback

            traceback.print_exc()
        failure, code = explain(error), FAILED
    if failure:
        console.error(failure)
    if job:
        stopped = job.asked_to_stop() and (ended_by_hand or failure is None)
        state: Outcome = "failed" if failure and not stopped else "stopped" if stopped else "finished"
        job.finish(state, failure)
    return code


if __name__ == "__main__":
    sys.exit(main())
