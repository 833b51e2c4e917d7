"""One file from a hub: whatever happens on the way, it is whole and right, or it is not there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_hub import REPOSITORY, SmallHub, serving

from qwenlab.errors import QwenlabError
from qwenlab.models import hub as hubs
from qwenlab.models.download import PART, PausedError, fetch_file
from qwenlab.models.hub import Hub, RemoteFile
from qwenlab.models.web import Patience

WEIGHTS = random.Random(1).randbytes(3_000_000)
QUICK = Patience(seconds=0.5, waits=(0.01, 0.01))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    with serving({"config.json": b"{}\n", "model.safetensors": WEIGHTS}) as running:
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("MODELSCOPE_DOMAIN", running.address)
        yield running


def listed(name: str = "model.safetensors", hub: Hub = "huggingface") -> RemoteFile:
    return next(file for file in hubs.look_up(hub, REPOSITORY, QUICK).files if file.name == name)


def fetch(folder: Path, name: str = "model.safetensors", hub: Hub = "huggingface") -> bytes:
    return fetch_file(listed(name, hub), folder, hubs.headers(hub), REPOSITORY, patience=QUICK).read_bytes()


@pytest.mark.parametrize("source", hubs.HUBS)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_file_comes_whole_from_either_hub(hub: SmallHub, tmp_path: Path, source: Hub, name: str) -> None:
    assert fetch(tmp_path, name, source) == hub.content[name]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_broken_connection_goes_on_where_it_broke(hub: SmallHub, tmp_path: Path) -> None:
    hub.broken_after = [700_000, 100_000]
    assert fetch(tmp_path) == WEIGHTS
    assert [asked[1] for asked in hub.asked[1:]] == ["", "bytes=700000-", "bytes=800000-"]


def test_given_up_download_keeps_its_part_and_the_next_one_gets_the_identical_file(
    hub: SmallHub, tmp_path: Path
) -> None:
    hub.broken_after = [900_000, 0, 0, 0]
    with pytest.raises(QwenlabError, match="cannot be reached"):
        fetch(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors" + PART]
    hub.broken_after = []
    assert fetch(tmp_path) == WEIGHTS
    assert hub.asked[-1][1] == "bytes=900000-"


def test_server_without_ranges_begins_anew(hub: SmallHub, tmp_path: Path) -> None:
    hub.ranges, hub.broken_after = False, [500_000]
    assert fetch(tmp_path) == WEIGHTS


@pytest.mark.parametrize("old", [b"another revision" * 1000, WEIGHTS + b"more", b"\0" * len(WEIGHTS)])
def test_part_of_something_else_is_fetched_anew(hub: SmallHub, tmp_path: Path, old: bytes) -> None:
    (tmp_path / ("model.safetensors" + PART)).write_bytes(old)
    assert fetch(tmp_path) == WEIGHTS


@pytest.mark.parametrize(
    ("served", "message"),
    [
        (WEIGHTS[:-1] + b"\0", "its digest is"),
        (WEIGHTS + b"more", "longer than 3000000 bytes"),
        (WEIGHTS[:1000], "it is shorter"),
    ],
)
def test_file_that_is_not_the_listed_one_is_not_kept(
    hub: SmallHub, tmp_path: Path, served: bytes, message: str
) -> None:
    hub.serves["model.safetensors"] = served
    with pytest.raises(QwenlabError, match=message):
        fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_small_file_is_held_against_gits_digest(hub: SmallHub, tmp_path: Path) -> None:
    hub.serves["config.json"] = b"[]\n"
    with pytest.raises(QwenlabError, match="its digest is"):
        fetch(tmp_path, "config.json")


@pytest.mark.parametrize(
    ("status", "message"),
    [(404, "has no Qwen/Tiny"), (403, "accept the model's terms"), (418, "HTTP 418"), (503, "cannot be reached")],
)
def test_refusal_is_a_sentence(hub: SmallHub, tmp_path: Path, status: int, message: str) -> None:
    hub.status = status
    with pytest.raises(QwenlabError, match=message):
        fetch(tmp_path)


def test_busy_hub_is_asked_again(hub: SmallHub, tmp_path: Path) -> None:
    file = listed()
    hub.busy = 2
    assert fetch_file(file, tmp_path, {}, REPOSITORY, patience=QUICK).read_bytes() == WEIGHTS


def test_silent_connection_counts_as_broken(hub: SmallHub, tmp_path: Path) -> None:
    file = listed()
    hub.pause = 5
    with pytest.raises(QwenlabError, match="cannot be reached"):
        fetch_file(file, tmp_path, {}, REPOSITORY, patience=Patience(seconds=0.1, waits=()))
    hub.pause = 0
    assert fetch(tmp_path) == WEIGHTS


def test_pause_keeps_what_has_arrived(hub: SmallHub, tmp_path: Path) -> None:
    seen: list[int] = []
    with pytest.raises(PausedError):
        fetch_file(listed(), tmp_path, {}, REPOSITORY, seen.append, lambda: bool(seen), QUICK)
    assert 0 < (tmp_path / ("model.safetensors" + PART)).stat().st_size < len(WEIGHTS)
    assert fetch(tmp_path) == WEIGHTS


def test_token_is_shown_to_the_hub_and_to_nobody_it_sends_us_to(
    hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub.token = "secret"
    with serving(hub.content) as store:
        hub.redirect = store.address
        assert fetch(tmp_path) == WEIGHTS
        assert [asked[2] for asked in store.asked] == [""]
    assert {asked[2] for asked in hub.asked} == {"Bearer secret"}


def test_gated_repository_says_what_to_do_and_not_the_token(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "wrong-secret")
    hub.token = "secret"
    with pytest.raises(QwenlabError, match="set HF_TOKEN") as caught:
        listed()
    assert "wrong-secret" not in str(caught.value) + str(caught.value.zh)


@pytest.mark.parametrize("named", ["../x", "a/../b", "a", "a/b/c", "/etc/passwd", "a/b?c", "https://x/y", "a/b\n"])
def test_what_is_no_id_is_not_asked_for(hub: SmallHub, named: str) -> None:
    with pytest.raises(QwenlabError, match="not the id of a repository"):
        hubs.look_up("huggingface", named, QUICK)
    assert hub.asked == []


def test_only_plain_names_of_the_top_folder_are_listed(hub: SmallHub) -> None:
    bad = ["../x", "/abs", "a/b", "..", ".hidden", "a\\b", "model.safetensors\n", "a b", "模型.json"]
    hub.content.update(dict.fromkeys(bad, b""))
    assert [file.name for file in hubs.look_up("huggingface", REPOSITORY, QUICK).files] == [
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize("source", hubs.HUBS)
def test_hub_that_answers_nonsense_is_named(hub: SmallHub, source: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("huggingface", "modelscope"):
        monkeypatch.setattr(hub, method, lambda: b'{"sha": "x", "siblings": 3, "Data": [1]}')
    with pytest.raises(QwenlabError, match="no list of files"):
        hubs.look_up(source, REPOSITORY, QUICK)


def test_offline_is_respected(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(QwenlabError, match="HF_HUB_OFFLINE"):
        listed()
    assert hub.asked == []
