"""The login of a lab that others reach: guesses, cookies, users who leave, and what users see of each other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from stranger import PASSWORD, Attacked, Stranger

from qwenlab import accounts
from qwenlab.errors import QwenlabError
from qwenlab.evals.preferences import Vote, VoteLog, Voter
from qwenlab.models.contestant import Answer
from qwenlab.ui.guard import SESSION
from qwenlab.ui.judging import Wanted
from qwenlab.ui.kept_talks import TalkStore
from qwenlab.ui.roster import Entrant
from qwenlab.ui.sessions import LONGEST_WAIT, Brake, Sessions
from qwenlab.ui.talk import Exchange, Reply, Talk
from qwenlab.ui.visitor import private
from qwenlab.workspace import SHIPPED, Workspace


def test_lab_without_users_does_not_listen(tmp_path: Path) -> None:
    command = [sys.executable, str(SHIPPED / "app.py"), "--listen", "--port", "0", "--workspace", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "qwenlab user add" in ended.stderr


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 303),
        ("/en/", 303),
        ("/en/config", 401),
        ("/en/gradio_api/info", 401),
        ("/en/gradio_api/file=/etc/passwd", 401),
        ("/download/data/json", 401),
        ("/download/votes.csv", 401),
        ("/nowhere", 401),
        ("/login", 200),
    ],
)
@pytest.mark.parametrize("cookie", ["", "x", "a" * 5000])
def test_nobody_sees_anything_before_the_login(open_lab: Attacked, path: str, status: int, cookie: str) -> None:
    web = open_lab.stranger().web
    answer = web.get(path, headers={"cookie": f"{SESSION}={cookie}"} if cookie else {})
    assert answer.status_code == status
    assert "tickets" not in answer.text


@pytest.mark.parametrize("path", ["/en/gradio_api/queue/join", "/en/gradio_api/upload", "/download/data/json"])
def test_nobody_sends_anything_before_the_login(open_lab: Attacked, path: str) -> None:
    assert open_lab.stranger().web.post(path, json={}).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "lab.example"}, 200),
        ({"host": "192.168.7.7:80"}, 200),
        ({"origin": "http://evil.example"}, 403),
    ],
)
def test_listening_lab_knows_its_own_names(open_lab: Attacked, headers: dict[str, str], status: int) -> None:
    assert open_lab.stranger().web.get("/login", headers=headers).status_code == status


def test_a_thousand_wrong_logins_are_slowed_down_and_the_owner_still_comes_in(open_lab: Attacked) -> None:
    inside, guesser = open_lab.stranger("li"), open_lab.stranger(source="127.0.0.9")
    answers = [guesser.log_in("li", f"guess {number}") for number in range(1000)]
    seen = Counter(answer.status_code for answer in answers)
    assert seen.keys() == {401, 429}
    assert seen[401] <= 12, "each costs a guess"
    assert int(answers[-1].headers["retry-after"]) <= LONGEST_WAIT
    assert guesser.log_in("li").status_code == 429, "also the right one has to wait here"
    assert inside.web.get("/en/config").status_code == 200
    assert open_lab.stranger(source="127.0.0.2").log_in("li").status_code == 303


def test_address_that_waited_may_try_again() -> None:
    now = [0.0]
    brake = Brake(lambda: now[0])
    waits = [brake.enter("stranger") for _ in range(1000)]
    assert 0 < max(waits) <= LONGEST_WAIT
    assert brake.enter("owner") == 0
    for _ in range(20):  # each wrong password makes the next wait longer, up to a minute
        now[0] += LONGEST_WAIT
        assert brake.enter("stranger") == 0
        assert 0 < brake.enter("stranger") <= LONGEST_WAIT
    now[0] += LONGEST_WAIT
    brake.enter("stranger")
    brake.passed("stranger")
    assert brake.enter("stranger") == 0


def test_cookie_is_hidden_from_scripts_and_other_sites_and_is_never_the_same(open_lab: Attacked) -> None:
    first, second = (open_lab.stranger().log_in("li") for _ in range(2))
    for answer in (first, second):
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie, "this lab was reached without TLS"
    assert first.cookies[SESSION] != second.cookies[SESSION]
    assert len(first.cookies[SESSION]) >= 43
    behind = open_lab.stranger().web.post(
        "/login", data={"name": "li", "password": PASSWORD}, headers={"x-forwarded-proto": "https"}
    )
    assert "Secure" in behind.headers["set-cookie"]


def test_logging_out_ends_the_session_and_not_only_the_cookie(open_lab: Attacked) -> None:
    user = open_lab.stranger("wang")
    kept = user.web.cookies[SESSION]
    assert user.web.post("/logout").headers["location"] == "/login"
    user.web.cookies.set(SESSION, kept)
    assert user.web.get("/en/config").status_code == 401


def test_user_who_is_removed_or_gets_another_password_is_out_at_once() -> None:
    users = {"li": "one", "wang": "two"}
    sessions = Sessions(lambda: users)
    li, wang = sessions.begin("li", "one"), sessions.begin("wang", "two")
    assert (sessions.user(li), sessions.user(wang)) == ("li", "wang")
    del users["li"]
    users["wang"] = "three"
    assert (sessions.user(li), sessions.user(wang), sessions.user(None)) == (None, None, None)


def test_session_ends_by_itself() -> None:
    now = [0.0]
    sessions = Sessions(lambda: {"li": "one"}, lambda: now[0])
    token = sessions.begin("li", "one")
    now[0] = 12 * 3600 + 1
    assert sessions.user(token) is None


# --- passwords -------------------------------------------------------------------------------------------


def test_password_is_asked_for_and_only_its_hash_is_kept(workspace: Workspace) -> None:
    command = [sys.executable, "-m", "qwenlab", "user", "add", "Li", "--json"]
    ended = subprocess.run(command, input="correct horse\n", capture_output=True, text=True, check=True)
    path = accounts.file_of(workspace)
    assert json.loads(ended.stdout)["file"] == str(path)
    assert "correct horse" not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o077 == 0, "readable by its owner only"
    kept = accounts.read(workspace)["li"]
    assert accounts.matches("correct horse", kept)
    assert not accounts.matches("Correct horse", kept)


def test_users_may_stand_in_the_environment(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENLAB_LOGIN", f"li:{accounts.hashed('correct horse')}")
    assert accounts.matches("correct horse", accounts.read(workspace)["li"])


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a:b", "x" * 33, "a\nb:scrypt:", "con fig"])
def test_name_that_would_be_another_folder_or_line_is_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(QwenlabError, match="name of a user"):
        accounts.put(workspace, name, "long enough")


@pytest.mark.parametrize(
    "kept", ["scrypt:", "scrypt:x:8:1:AA==:AA==", "scrypt:1073741824:8:1:AA==:AA==", "scrypt:16384:8:1:!:!", "plain"]
)
def test_line_that_somebody_damaged_lets_nobody_in(kept: str) -> None:
    assert not accounts.matches("", kept)


# --- what users see of each other ------------------------------------------------------------------------


def _talk(home: Path, owner: str, words: str) -> str:
    """A kept conversation of a user; its name."""
    reply = Reply(Entrant("x", "x", "endpoint"))
    reply.end(Answer("yes", "stop"), Wanted())
    talk = Talk(exchanges=[Exchange(words, [reply])])
    TalkStore(private(home / "talks", owner)).save(talk)
    return talk.id


def _lists(user: Stranger) -> str:
    """Everything that the page says when it is opened."""
    calls = user.calls(event="load")
    return "".join(user.answers({user.join(one, [None] * len(one["inputs"])) for one in calls}).values())


def test_conversations_are_each_user_s_own_and_data_is_everybody_s(open_lab: Attacked) -> None:
    li, wang = open_lab.stranger("li"), open_lab.stranger("wang")
    name = _talk(open_lab.home, "li", "only for li")
    assert "only for li" in _lists(li)
    seen = _lists(wang)
    assert "only for li" not in seen
    assert "tickets" in seen
    (chosen,) = wang.calls("compare-talks", "submit")
    for wish in (name, f"../li/{name}", f"users/li/{name}"):
        for do in ("open", "delete", "restore"):
            assert "only for li" not in wang.call(chosen, [None] * len(chosen["inputs"]), {"do": do, "talk": wish})
    assert (open_lab.home / "talks" / "users" / "li" / f"{name}.json").exists()
    assert "only for li" in _lists(li)


def test_verdicts_are_each_user_s_own(open_lab: Attacked) -> None:
    voters = (Voter("base", "base"), Voter("tuned", "tuned"))
    log = VoteLog(private(open_lab.home / "talks", "li") / "votes.jsonl")
    log.append(Vote("k", "2026-01-01T00:00:00Z", voters, 0, message="only for li"))
    assert "only for li" in open_lab.stranger("li").web.get("/download/votes.csv").text
    assert "only for li" not in open_lab.stranger("wang").web.get("/download/votes.csv").text
