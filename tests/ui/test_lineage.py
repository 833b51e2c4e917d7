"""What came from what, read from folders alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_workspace import a_lab, a_run, a_test, aged, an_export

from qwenlab.ui import lineage
from qwenlab.ui.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return a_lab(tmp_path)


def test_run_stands_below_its_data_and_has_its_exports_and_tests(lab: Lab) -> None:
    a_run(lab, "shop-1")
    small = an_export(lab, "shop-1")
    both, only_export = a_test(lab, "shop-1", name="s-1"), a_test(lab, export=small, name="s-2")
    found = lineage.trace(lab)
    source = next(one for one in found.sources if one.runs)
    assert source.path == lab.dataset_path()
    assert not source.shipped
    (run,) = source.runs
    assert [one.folder for one in run.exports] == [small]
    assert {one.folder for one in run.tests} == {both, only_export}
    assert found.tests == found.exports == ()


def test_test_of_two_runs_belongs_to_both_and_is_counted_once(lab: Lab) -> None:
    a_run(lab, "shop-1")
    a_run(lab, "shop-2", ago=100)
    small = an_export(lab, "shop-2")
    a_test(lab, "shop-1", small)
    found = lineage.trace(lab)
    assert [run.job.id for run in found.runs] == ["shop-2", "shop-1"]
    assert [len(run.tests) for run in found.runs] == [1, 1]
    assert len(found.every_test) == 1


def test_run_knows_whether_its_data_have_changed(lab: Lab) -> None:
    a_run(lab)
    (run,) = lineage.trace(lab).runs
    assert run.same is True
    path = lab.dataset_path()
    assert path is not None
    path.write_text("[]")
    (run,) = lineage.trace(lab).runs
    assert run.same is False
    path.unlink()
    (run,) = lineage.trace(lab).runs
    assert run.same is None


def test_test_of_an_adapter_that_was_trained_on_is_outdated(lab: Lab) -> None:
    run = a_run(lab)
    a_test(lab, run.id)
    assert not lineage.trace(lab).every_test[0].outdated
    aged(run.folder / "adapter" / "adapter_model.safetensors", -60)
    assert lineage.trace(lab).every_test[0].outdated


def test_test_of_an_export_that_was_made_again_is_outdated(lab: Lab) -> None:
    run = a_run(lab)
    small = an_export(lab, run.id)
    a_test(lab, export=small)
    assert not lineage.trace(lab).every_test[0].outdated
    aged(small / "qwenlab-export.json", -60)
    assert lineage.trace(lab).every_test[0].outdated


def test_what_belongs_to_no_run_is_not_lost(lab: Lab) -> None:
    a_test(lab)
    an_export(lab, "gone-1")
    found = lineage.trace(lab)
    assert [one.folder.name for one in found.tests] == ["s-1"]
    assert [one.folder.name for one in found.exports] == ["gone-1-int4"]


def test_numbers_of_a_test_are_those_of_its_summaries(lab: Lab) -> None:
    a_run(lab)
    a_test(lab, "shop-1")
    (test,) = lineage.trace(lab).every_test
    assert (test.suite, test.state, test.measure) == ("s", "finished", "usable")
    assert [one.name for one in test.asked] == ["base", "tuned"]
    assert [one.cases for one in test.asked] == [6, 6]


def test_damaged_files_hide_only_themselves(lab: Lab) -> None:
    a_run(lab, "shop-1")
    a_run(lab, "shop-2")
    folder = a_test(lab, "shop-1")
    (lab.workspace.runs / "shop-2" / "recipe.json").write_text("{oops")
    (folder / "base" / "summary.json").write_text("[]")
    (folder / "tuned" / "contestant.json").write_text("{oops")
    found = lineage.trace(lab)
    assert [run.job.id for run in found.runs] == ["shop-1"]
    (test,) = found.every_test
    assert [one.rates for one in test.asked] == [None]
    assert test.state == "interrupted"
