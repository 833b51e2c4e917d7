"""The list of models as a table: what is here, whose licence it has, and what it needs of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qwenlab.errors import QwenlabError
from qwenlab.models import older
from qwenlab.models.listing import Known
from qwenlab.training.estimate import Machine
from qwenlab.training.needs import KINDS, Need, needs
from qwenlab.ui.components import Html, badge, error_words, escape
from qwenlab.ui.texts import Translator

HEADS = {"chat": "models_chat", "lora": "models_lora", "qlora": "models_qlora", "quantize": "models_quantize"}


def models_table(
    known: Sequence[Known], chosen: str, machine: Machine, running: Mapping[str, float | None], t: Translator
) -> Html:
    """All models; a row can be clicked.

    Args:
        chosen: the model that is chosen.
        running: how far each model that is being fetched is, 0 to 1; None where that is not known.
    """
    if not known:
        return Html(f'<p class="quiet">{escape(t("models_none"))}</p>')
    heads = "".join(f'<th class="number">{escape(t(HEADS[kind]))}</th>' for kind in KINDS)
    rows = "".join(_row(one, one.model == chosen, machine, running, t) for one in known)
    where = t("models_this_gpu" if machine.device == "cuda" else "models_this_machine")
    about = t("models_memory", where=where, has=f"{machine.memory_bytes / 1e9:.1f}")
    head = f"<thead><tr><th>{escape(t('models_name'))}</th>{heads}</tr></thead>"
    return Html(
        f'<div class="scroll tall"><table class="plain models">{head}<tbody>{rows}</tbody></table></div>'
        f'<p class="quiet">{escape(t("models_click"))} {escape(about)}</p>'
    )


def _row(one: Known, chosen: bool, machine: Machine, running: Mapping[str, float | None], t: Translator) -> str:
    try:
        need = needs(one.config, machine)
    except QwenlabError:  # what is wrong with it is said below its name
        need = {}
    cells = "".join(_cell(need.get(kind)) for kind in KINDS)
    marks = [badge("busy", t("models_chosen"))] if chosen else []
    place = one.folder if one.ready or one.older else one.hub
    return (
        f'<tr data-key="use:{escape(one.model)}"><td title="{escape(place)}">'
        f"{escape(one.title)} {''.join([*marks, _state(one, running, t)])}"
        f"<small>{escape(_about(one, t))}</small></td>{cells}</tr>"
    )


def _cell(need: Need | None) -> str:
    if need is None:
        return '<td class="number">·</td>'
    size = f"{need.bytes / 1e9:.1f}"
    return f'<td class="number">{size}</td>' if need.fits else f'<td class="number bad">✗ {size}</td>'


def _state(one: Known, running: Mapping[str, float | None], t: Translator) -> Html:
    key = one.model if one.origin != "folder" else older.key(one.folder)
    if key in running:
        done = running[key]
        return badge(
            "busy",
            t("models_converting_now" if one.older else "models_running")
            + (f" {done:.0%}" if done is not None else ""),
        )
    if one.problem:
        return badge("bad", t("models_unusable"))
    if one.older:
        return badge("warn", t("models_older"))
    if one.ready:
        return badge("ok", t("models_here"))
    if one.arrived:
        return badge("warn", t("models_part", done=size_words(one.arrived), all=size_words(one.bytes)))
    return Html("")


def _about(one: Known, t: Translator) -> str:
    """Size, licence, and what is wrong."""
    licence = t("models_licence", licence=one.licence) if one.licence else t("models_licence_unknown")
    parts = [t("models_own")] if one.origin == "folder" else []
    parts += [size_words(one.bytes)] if one.bytes else []
    parts += [" ".join(error_words(one.problem, t))] if one.problem else [licence]
    return " · ".join(parts)


def size_words(size: int) -> str:
    """Bytes as a person reads them: 494 MB, 3.1 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
