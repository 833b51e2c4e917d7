"""What the Export tab shows: the ladder merge, quantize, prove of one run, read from jobs and export folders."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import report
from qwenlab.evals.compare import Verdict, sentence
from qwenlab.evals.result import RESULT, Result
from qwenlab.evals.words import measure_name
from qwenlab.export import package
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.training import runs
from qwenlab.ui import suites
from qwenlab.ui.components import NOTHING, Html, badge, escape, notice, progress_bar, table
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import KILL_AFTER, goto, log_fold, model_title, stop_waits
from qwenlab.workspace import Workspace

KINDS = {"gguf": "GGUF", "gptq": "GPTQ"}
SMALL = {"gguf": "int4", "gptq": "gptq-int4"}
"""What the quantized folder of a run is called, after the run's name."""
MEASURES = ("strict", "usable", "field_accuracy", "document_exact")


# --- what lies there -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Export:
    """A finished export folder with its manifest, its size in bytes, and when it was made (epoch seconds)."""

    folder: Path
    about: dict[str, Any]
    bytes: int
    made: float


def read_export(folder: Path) -> Export | None:
    """The export in that folder; None where there is none."""
    manifest = folder / package.MANIFEST
    try:
        # The manifest is written when the weights stand; a model card made later does not touch it.
        stamp = manifest.stat().st_mtime_ns
        about = files.read_json(manifest)
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    except (OSError, QwenlabError):
        return None
    return Export(folder, about, size, stamp / 1e9) if isinstance(about, dict) else None


def exports(workspace: Workspace) -> list[Export]:
    """All exports, newest first."""
    found = [read_export(path.parent) for path in workspace.exports.glob(f"[!.]*/{package.MANIFEST}")]
    return sorted((one for one in found if one), key=lambda one: -one.made)


def verb_of(job: Job) -> tuple[str, list[str]]:
    """The verb that a job runs, and what follows it; ("", []) for anything else."""
    try:
        argv = [str(one) for one in files.read_json(job.folder / "job.json")["argv"]]
    except (QwenlabError, KeyError, TypeError):
        return "", []
    rest = argv[1:] if argv[:1] == ["qwenlab"] else []
    while rest and rest[0].startswith("--"):
        rest = rest[2:]
    return (rest[0], rest[1:]) if rest else ("", [])


def export_jobs(workspace: Workspace) -> list[Job]:
    """Merging, quantizing and checking jobs, newest first."""
    found = sorted(workspace.jobs.glob("export-*/job.json"), key=lambda path: -path.stat().st_mtime_ns)
    return [Job(path.parent) for path in found]


@dataclass(frozen=True)
class Ladder:
    """The three steps of one run in one format.

    Attributes:
        merged, small: the folders' exports, where they exist.
        merging, quantizing, checking, proving: the newest job of each step.
    """

    workspace: Workspace
    run: Job
    form: str
    merged: Export | None
    small: Export | None
    merging: Job | None
    quantizing: Job | None
    checking: Job | None
    proving: Job | None

    @property
    def merged_folder(self) -> Path:
        """Where the merged model goes."""
        return self.workspace.exports / f"{self.run.id}-merged"

    @property
    def small_folder(self) -> Path:
        """Where the quantized model goes."""
        return self.workspace.exports / f"{self.run.id}-{SMALL[self.form]}"

    @property
    def last(self) -> Export | None:
        """What would be handed over: the quantized folder, else the merged one."""
        return self.small or self.merged

    def working(self) -> Job | None:
        """The step in progress."""
        steps = (self.merging, self.quantizing, self.checking, self.proving)
        return next((job for job in steps if job is not None and job.state() == "running"), None)

    def contestants(self) -> list[tuple[str, str]]:
        """(name, spec) of everyone that the proof asks."""
        model = runs.recipe_of(self.run).model
        found = [("base", model), ("adapter", f"{model}+{self.run.id}")]
        if self.merged:
            found.append(("merged", str(self.merged.folder)))
        if self.small:
            found.append(("int4", str(self.small.folder)))
        return found


def read_ladder(workspace: Workspace, run: Job, form: str) -> Ladder:
    """How far a run has come, from folders alone."""
    merged = workspace.exports / f"{run.id}-merged"
    small = workspace.exports / f"{run.id}-{SMALL[form]}"
    jobs = [(job, *verb_of(job)) for job in export_jobs(workspace)]

    def newest(verb: str, *wanted: Path) -> Job | None:
        names = {str(path) for path in wanted}
        # A verb's target stands last but for flags; a source of the same name is another step's.
        return next((job for job, name, rest in jobs if name == verb and names & set(_targets(verb, rest))), None)

    return Ladder(
        workspace,
        run,
        form,
        read_export(merged),
        read_export(small),
        newest("merge", merged),
        newest("quantize", small),
        newest("verify", merged, small),
        _proof_job(workspace, run, form),
    )


def _targets(verb: str, rest: Sequence[str]) -> list[str]:
    if verb == "verify":
        return list(rest[:1])
    return [rest[at + 1] for at, word in enumerate(rest[:-1]) if word in ("-o", "--output")]


def _proof_job(workspace: Workspace, run: Job, form: str) -> Job | None:
    """The newest test that asked this run's merged model, and its quantized one in this format where any."""
    other = {f"int4={workspace.exports / f'{run.id}-{SMALL[one]}'}" for one in SMALL if one != form}
    found = sorted(workspace.results.glob("*/job.json"), key=lambda path: -path.stat().st_mtime_ns)
    for path in found:
        verb, rest = verb_of(Job(path.parent))
        asked = set(rest)
        if verb == "test" and f"merged={workspace.exports / f'{run.id}-merged'}" in asked and not other & asked:
            return Job(path.parent)
    return None


# --- the steps -------------------------------------------------------------------------------------------


def merge_step(ladder: Ladder, t: Translator) -> Html:
    """Step 1 with its state, size and proof."""
    made, old = ladder.merged, False
    body = ""
    if made:
        old = _adapter_time(ladder.run) > made.made
        proof = made.about.get("proof") or {}
        body = f"<p><b>{size_words(made.bytes)}</b> <span class='path'>{escape(made.folder)}</span></p>"
        if proof:
            difference = f"{proof.get('max_logit_difference', 0):.1e}"
            values = {"same": proof.get("same_next_token"), "prompts": proof.get("prompts")}
            body += f"<p>{escape(t('export_merge_proof', difference=difference, **values))}</p>"
        if old:
            body += notice("warn", t("export_merge_old"), t("export_merge_old_do"))
    body += _job_part(ladder.merging, made, t, t("export_merging"))
    return _step(t("export_merge"), t("export_merge_about"), ladder.merging, made, old, body, t)


def quantize_step(ladder: Ladder, t: Translator) -> Html:
    """Step 2 with its state and size."""
    made, merged, old = ladder.small, ladder.merged, False
    body = ""
    if made:
        old = merged is not None and made.made < merged.made
        share = ""
        if merged:
            share = ", " + t("export_smaller", percent=f"{100 * made.bytes / max(1, merged.bytes):.0f}")
        body = f"<p><b>{size_words(made.bytes)}</b>{escape(share)} <span class='path'>{escape(made.folder)}</span></p>"
        body += f"<p>{escape(t('export_quantize_proof', format=made.about.get('format', '')))}</p>"
        if old:
            body += notice("warn", t("export_quantize_old"), t("export_quantize_old_do"))
    elif merged is None:
        body = f'<p class="quiet">{escape(t("export_needs_merge"))}</p>'
    body += _job_part(ladder.quantizing, made, t, t("export_quantizing"))
    return _step(t("export_quantize"), t("export_quantize_about"), ladder.quantizing, made, old, body, t)


def prove_step(ladder: Ladder, t: Translator) -> Html:
    """Step 3: the scoreboard, what quantizing changed, and the check of the files."""
    job, body, old, done = ladder.proving, "", False, None
    if job is not None:
        body += _job_part(job, None, t, t("export_proving_load"))
        try:
            shown = suites.read_result(job.folder)
        except QwenlabError as error:
            shown, body = None, body + notice("bad", error.what, error.remedy)
        if shown is not None and shown.result.contestants and job.state() != "running":
            began = (job.folder / "job.json").stat().st_mtime
            old = any(made is not None and made.made > began for made in (ladder.merged, ladder.small))
            done = ladder.last if shown.result.complete else None
            body += _scores(ladder, shown, old, t)
    elif ladder.merged is None:
        body += f'<p class="quiet">{escape(t("export_needs_merge"))}</p>'
    body += _check_part(ladder, t)
    return _step(t("export_prove"), t("export_prove_about"), job, done, old, body, t)


def _step(title: str, about: str, job: Job | None, made: Export | None, old: bool, body: str, t: Translator) -> Html:
    state = job.state() if job is not None else "new"
    if state == "running":
        kind, words = "busy", t("state_running")
    elif made:
        kind, words = ("warn", t("export_outdated")) if old else ("ok", t("export_done"))
    elif state in ("failed", "stopped", "interrupted"):
        kind, words = "bad" if state == "failed" else "warn", t("state_" + state)
    else:
        kind, words = "none", t("export_not_yet")
    return Html(
        f'<div class="step {kind}"><div class="head"><b>{escape(title)}</b>{badge(kind, words)}</div>'
        f'<p class="quiet">{escape(about)}</p>{body}</div>'
    )


def _job_part(job: Job | None, made: Export | None, t: Translator, doing: str) -> Html:
    """A running job's bar with Stop, or how the last one ended where that still matters."""
    if job is None:
        return NOTHING
    state = job.state()
    if state == "running":
        return running_bar(job, t, doing)
    began = _started(job)
    if state == "finished" or (made is not None and made.made > began):
        return NOTHING
    done = job.outcome() or {}
    if state == "failed":
        words = notice("bad", done.get("reason") or t("export_failed"), done.get("remedy", ""))
    elif state == "stopped":
        words = notice("warn", t("export_ended"))
    else:
        words = notice("warn", t("export_vanished"), t("export_vanished_do"))
    return Html(words + log_fold(job, t))


def running_bar(job: Job, t: Translator, doing: str) -> Html:
    """What a running job does, how far it is, the time left, and Stop (later: End at once)."""
    progress = suites.last_progress(job) or {}
    fraction = progress.get("fraction") or None  # zero says only that it began
    left = progress.get("seconds_left")
    if progress.get("contestant"):
        values = {"name": progress["contestant"], "done": progress.get("done", 0), "total": progress.get("total", 0)}
        doing = t("export_proving", **values)
    elif fraction is not None and fraction >= 1:
        doing, fraction = t("export_loading"), None
    elif fraction is not None and fraction > 0.05 and left is None:
        left = (time.time() - _started(job)) * (1 - fraction) / fraction
    waits = stop_waits(job)
    if waits is None:
        return Html(progress_bar(t, fraction, doing, left) + _act("stop", job, t("export_stop")))
    bar = progress_bar(t, fraction, t("export_stopping"))
    if waits <= KILL_AFTER:
        return bar
    return Html(bar + notice("warn", t("export_kill_about"), Html(_act("kill", job, t("export_kill")))))


def _act(action: str, job: Job, words: str) -> str:
    return f'<button type="button" data-key="{action} {escape(job.id)}">{escape(words)}</button>'


def _started(job: Job) -> float:
    try:
        return float(files.read_json(job.folder / "job.json")["started"])
    except (QwenlabError, KeyError, TypeError, ValueError):
        return 0.0


def _adapter_time(run: Job) -> float:
    try:
        return (adapters.of_run(run.folder) / "adapter_model.safetensors").stat().st_mtime
    except (QwenlabError, OSError):
        return 0.0


# --- the proof -------------------------------------------------------------------------------------------


def _scores(ladder: Ladder, shown: suites.Shown, old: bool, t: Translator) -> str:
    result = shown.result
    words = t("export_cases", suite=result.suite.name, number=f"{len(result.suite.cases):,}")
    body = f'<p class="quiet">{escape(words)}</p>{scoreboard(result, sizes(ladder), t)}'
    if old:
        return notice("warn", t("export_prove_old"), t("export_prove_old_do")) + body
    if not result.complete:
        return notice("warn", t("export_partial")) + body
    quantizing = _quantizing(result.folder, (result.folder / RESULT).stat().st_mtime_ns, result)
    lines = [one for one in shown.verdicts if one.name == "adapter"] + quantizing
    body += "".join(f"<p>{escape(sentence(one, t.language))}</p>" for one in lines)
    if any(one.code == "worse" for one in quantizing):
        body += notice("bad", t("export_lost"), t("export_lost_do"))
    elif quantizing:
        body += notice("ok", t("export_held"))
    return body + goto("tab_test", t("export_open_test"))


_verdicts: dict[tuple[Path, int], list[Verdict]] = {}


def _quantizing(folder: Path, stamp: int, result: Result) -> list[Verdict]:
    """The quantized model against the merged one; computed once for each state of the result."""
    key = (folder, stamp)
    if key not in _verdicts:
        names = {one.name for one in result.contestants}
        both = {"merged", "int4"} <= names
        _verdicts[key] = [one for one in result.verdicts("merged") if one.name == "int4"] if both else []
    return _verdicts[key]


def scoreboard(result: Result, bytes_of: dict[str, int], t: Translator) -> Html:
    """Contestants by measures."""
    columns = [name for name in MEASURES if any(one.summary.rates.get(name) for one in result.contestants)]
    heads = [measure_name(name, t.language) for name in ("contestant", *columns, "tokens_per_s", "size")]
    rows = [
        [
            one.name,
            *(report.percent(one.summary.rates[name]) for name in columns),
            f"{one.tokens_per_s:.1f}" if one.tokens_per_s is not None else "",
            size_words(bytes_of[one.name]) if one.name in bytes_of else "",
        ]
        for one in result.contestants
    ]
    return table(heads, rows, range(1, len(heads)))


def sizes(ladder: Ladder) -> dict[str, int]:
    """Bytes on disk of each contestant's weights."""
    found = {}
    try:
        base = _weights(runs.base_of(ladder.run))
        found = {"base": base, "adapter": base + _weights(adapters.of_run(ladder.run.folder))}
    except QwenlabError:
        pass  # the base model was moved: its size is not known
    if ladder.merged:
        found["merged"] = _weights(ladder.merged.folder)
    if ladder.small:
        found["int4"] = _weights(ladder.small.folder)
    return found


def _weights(folder: Path) -> int:
    return sum(path.stat().st_size for form in ("safetensors", "gguf") for path in folder.glob(f"*.{form}"))


def _check_part(ladder: Ladder, t: Translator) -> Html:
    job = ladder.checking
    if job is None:
        return NOTHING
    made = [one.made for one in (ladder.merged, ladder.small) if one]
    if job.state() != "finished":
        return _job_part(job, None, t, t("export_verifying"))
    if not made or max(made) > _started(job):
        return NOTHING  # what was checked has been made anew
    found, name = last_json(job), Path(verb_of(job)[1][0]).name
    if found.get("ok"):
        return notice("ok", t("export_verified", name=name))
    wrong = ", ".join(str(one) for one in found.get("wrong", []))
    return notice("bad", t("export_damaged", name=name, wrong=wrong), t("export_damaged_do"))


def last_json(job: Job) -> dict[str, Any]:
    """What a verb with --json printed last; {} when it printed none."""
    for line in reversed(job.log_tail().splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


# --- what is handed over ---------------------------------------------------------------------------------


def handover(ladder: Ladder, t: Translator) -> Html:
    """The folder and the commands that serve it."""
    made = ladder.last
    if made is None:
        return Html(f'<div class="run"><p class="quiet">{escape(t("export_ready_none"))}</p></div>')
    kind = str(made.about.get("kind", ""))
    there = "\n".join(line.strip() for line in package.SERVING.get(kind, "").splitlines())
    here = f'qwenlab serve "{made.folder}"'
    return Html(
        f'<div class="run"><div class="head"><b>{escape(t("export_ready"))}</b>'
        f"<span>{escape(made.folder.name)}</span><span>{size_words(made.bytes)}</span></div>"
        f'<p class="path">{escape(made.folder)}</p>'
        f'<p>{escape(t("export_serve"))}</p><pre class="command">{escape(there)}</pre>'
        f'<p>{escape(t("export_serve_here"))}</p><pre class="command">{escape(here)}</pre></div>'
    )


def exports_table(found: Sequence[Export], t: Translator) -> Html:
    """All exports, newest first."""
    if not found:
        return NOTHING
    heads = ("export_col_name", "export_col_kind", "export_col_base", "export_col_size", "export_col_made")
    rows = []
    for one in found:
        kind = str(one.about.get("kind", ""))
        form = t("export_kind_merged") if kind == "merged" else one.about.get("format") or KINDS.get(kind, kind)
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.made))
        rows.append([one.folder.name, form, model_title(str(one.about.get("base", ""))), size_words(one.bytes), made])
    listed = table([t(key) for key in heads], rows, (3,))
    return Html(f'<div class="run"><div class="head"><b>{escape(t("export_all"))}</b></div>{listed}</div>')


def size_words(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
