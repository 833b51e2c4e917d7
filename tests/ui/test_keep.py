"""A test case that becomes a training sample is burned, one that was there already is not."""

from __future__ import annotations

from qwenlab.evals import burned
from qwenlab.models.contestant import Message
from qwenlab.ui.keep import keep
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace


def test_a_case_sent_to_the_data_set_is_burned_once(workspace: Workspace) -> None:
    lab, t = Lab(workspace), Translator("en")
    path = workspace.data / "mine.train.json"
    path.write_text("[]", encoding="utf-8")
    lab.choose(dataset=str(path))
    asked: list[Message] = [{"role": "user", "content": "Where is my kettle?"}]
    assert "notice ok" in keep(lab, t, asked, "On its way.", "from-test", "s c1", ("s", "c1"))
    assert burned.cases(workspace, "s") == {"c1": ["mine.train.json"]}
    assert "notice ok" not in keep(lab, t, asked, "On its way.", "from-test", "s c1", ("s", "c2"))
    assert "notice ok" in keep(lab, t, [{"role": "user", "content": "Typed by hand"}], "Yes.", "from-compare")
    assert set(burned.cases(workspace, "s")) == {"c1"}
