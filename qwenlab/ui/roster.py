"""Who can be asked: ready base models, adapters and checkpoints of runs, exports, and endpoints by URL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import adapter_base, adapters, catalogue, listing
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator

MOST = 4
"""Columns that can still be read side by side."""
MANIFEST = "qwenlab-export.json"
KINDS = {
    "model": "compare_kind_model",
    "adapter": "compare_kind_adapter",
    "checkpoint": "compare_kind_checkpoint",
    "merged": "compare_kind_merged",
    "gptq": "compare_kind_gptq",
    "gguf": "compare_kind_gguf",
    "endpoint": "compare_kind_endpoint",
}


@dataclass(frozen=True)
class Entrant:
    """One who can be asked.

    Attributes:
        spec: as `qwenlab test` takes it behind NAME=.
        name: what its column and its row on the scoreboard are called.
        kind: a key of KINDS.
        base: the name of its base model, "" where it is one itself.
        languages: what it can be tested in.
    """

    spec: str
    name: str
    kind: str
    base: str = ""
    languages: tuple[str, ...] = ("en", "zh")

    def label(self, t: Translator) -> str:
        """What the list to choose from says."""
        return f"{self.name} · {t(KINDS[self.kind], base=self.base)}"


def entrants(lab: Lab) -> list[Entrant]:
    """Everyone who is ready: base models, then runs from the newest on, adapters from elsewhere, then exports."""
    trained = (one for job in lab.runs() for one in of_run(lab, job))
    return [*_models(lab), *trained, *_brought(lab), *_exports(lab)]


def _models(lab: Lab) -> list[Entrant]:
    ready = listing.ready(lab.workspace)
    chosen = lab.model_name()
    if chosen not in ready and (Path(chosen) / "config.json").is_file():
        ready.append(chosen)
    return [Entrant(name, Path(name).name, "model", languages=catalogue.languages(name)) for name in ready]


def of_run(lab: Lab, job: Job) -> list[Entrant]:
    """A run's finished adapter and its complete checkpoints, newest first; none of a run that kept nothing."""
    try:
        base = Path(files.read_json(job.folder / "base.json")["folder"])
    except (QwenlabError, KeyError, TypeError):
        return []
    name = base.name
    known = (lab.workspace.models / name).resolve() == base.resolve()
    model = name if known else str(base)
    speaks = catalogue.languages(name)
    found = []
    if adapters.is_adapter(job.folder / adapters.FINISHED):
        found.append(Entrant(f"{model}+{job.id}", job.id, "adapter", name, speaks))
    whole = adapters.whole_model(job.folder)
    if whole is not None:
        found.append(Entrant(str(whole), job.id, "model", name, speaks))
    marks = job.folder.glob(f"{adapters.CHECKPOINTS}/checkpoint-*/{adapters.COMPLETE}")
    complete = [
        mark.parent for mark in marks if not (mark.parent / "config.json").exists()
    ]  # full training: no adapter
    for path in sorted(complete, key=lambda one: one.stat().st_mtime, reverse=True):
        step = path.name.rpartition("-")[2]
        found.append(Entrant(f"{model}+{job.id}/{path.name}", f"{job.id} {step}", "checkpoint", name, speaks))
    return found


def _brought(lab: Lab) -> list[Entrant]:
    """Adapters from elsewhere; one whose base is not here says so when it is asked."""
    found = []
    for folder in adapters.elsewhere(lab.workspace):
        try:
            base = adapter_base.find(lab.workspace, adapters.find(lab.workspace, str(folder))).name
        except QwenlabError:
            found.append(Entrant(str(folder), folder.name, "adapter", "?"))
            continue
        found.append(Entrant(f"{base}+{folder}", folder.name, "adapter", base, catalogue.languages(base)))
    return found


def _exports(lab: Lab) -> list[Entrant]:
    patterns = ("[!.]*", "[!.]*/[!.]*")  # what begins with a dot is being made
    folders = {path.parent for pattern in patterns for path in lab.workspace.exports.glob(f"{pattern}/{MANIFEST}")}
    found = []
    for folder in sorted(folders):
        try:
            about = files.read_json(folder / MANIFEST)
        except QwenlabError:
            continue
        kind = str(about.get("kind", "")) if isinstance(about, dict) else ""
        if kind in KINDS:
            base = Path(str(about.get("base", ""))).name
            name = folder.relative_to(lab.workspace.exports).as_posix().replace("/", " ")
            found.append(Entrant(str(folder), name, kind, base, catalogue.languages(base) if base else ("en", "zh")))
    return found


def usual(lab: Lab) -> list[str]:
    """Specs to begin with: the newest run that kept something, beside its base; else one ready model."""
    known = entrants(lab)
    for job in lab.runs():
        trained = of_run(lab, job)
        if trained:
            base = trained[0].spec.partition("+")[0]
            return [base, trained[0].spec] if any(one.spec == base for one in known) else [trained[0].spec]
    models = [one.spec for one in known if one.kind == "model"]
    chosen = lab.model_name()
    return [chosen] if chosen in models else models[:1]


def pick(lab: Lab, specs: Sequence[str], t: Translator) -> list[Entrant]:
    """The chosen ones, each under a name of its own that `qwenlab test` takes.

    Raises:
        QwenlabError: when nobody, too many, or somebody unknown is chosen.
    """
    if not specs:
        raise QwenlabError(t("compare_nobody"), t("compare_nobody_remedy"))
    if len(specs) > MOST:
        raise QwenlabError(t("compare_too_many", number=MOST))
    known = entrants(lab)
    found: list[Entrant] = []
    for spec in dict.fromkeys(specs):
        if meant := _meant(known, spec):
            found.extend([meant] if meant not in found else [])
        elif spec.startswith(("http://", "https://")) and not lab.listen:
            # Whoever reaches the port from outside must not send this computer to other addresses.
            found.append(Entrant(spec, _far_name(spec), "endpoint"))
        else:
            raise QwenlabError(t("compare_unknown", name=spec), t("compare_unknown_remedy"))
    return _named(found)


def _far_name(url: str) -> str:
    """The model first, where it is named: two models of one server differ by it, and lists cut long names."""
    address, _, model = url.partition("://")[2].partition("#")
    return f"{model.rpartition('/')[2]} {address.partition('/')[0]}" if model else address


def _meant(known: Iterable[Entrant], typed: str) -> Entrant | None:
    """The one with this spec, or the only one with this name: Enter takes what was typed into the list's box."""
    named = []
    for one in known:
        if one.spec == typed:
            return one
        if one.name.casefold() == typed.strip().casefold():
            named.append(one)
    return named[0] if len(named) == 1 else None


def _named(found: Iterable[Entrant]) -> list[Entrant]:
    taken: set[str] = set()
    named = []
    for one in found:
        stem = re.sub(r"[^\w.+ -]", "-", one.name)[:56].lstrip("-.+ ") or "model"
        name, number = stem, 2
        while name.casefold() in taken:  # on disk a contestant is a folder, and some disks ignore case
            name, number = f"{stem}-{number}", number + 1
        taken.add(name.casefold())
        named.append(replace(one, name=name))
    return named
