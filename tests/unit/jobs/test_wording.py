"""Texts of jobs: kept in English, spoken in the reader's language."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation
from django.utils.translation import gettext_lazy

from dashboard.jobs import wording
from dashboard.jobs.models import Job
from dashboard.jobs.rows import cancellable, job_row, job_row_for_all
from tests.unit.jobs.conftest import Declare

CHINESE = {"Make %(name)s": "创建 %(name)s", "Test it": "测试", "No space.": "空间不足。", "Step": "步骤"}


@pytest.fixture(autouse=True)
def _chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    def say(text: str) -> Any:
        return CHINESE.get(text, text) if translation.get_language() == "zh-hans" else text

    monkeypatch.setattr(wording, "gettext", say)


def test_a_lazy_text_is_kept_as_its_key() -> None:
    with translation.override("zh-hans"):
        assert wording.english(gettext_lazy("Running")) == "Running"


def test_values_are_filled_in_after_translation() -> None:
    with translation.override("zh-hans"):
        assert wording.spoken("Make %(name)s", {"name": "100%"}) == "创建 100%"
        assert wording.spoken("Not translated: 100% of it") == "Not translated: 100% of it"
        assert wording.spoken("%(step_text)s: no", {"step_text": "Step"}) == "步骤: no"


def test_values_that_do_not_fit_do_not_break_the_page() -> None:
    assert "Make %(name)s" in wording.spoken("Make %(name)s", {"other": 1})


def test_a_live_row_carries_the_words_of_every_language(declare: Declare) -> None:
    declare()
    job = Job(operation="test.do", steps=["Make %(name)s"], error="No space.", state="failed")
    row = job_row_for_all(job)
    assert (row["label"], row["error"]) == ("Test it", "No space.")
    assert (row["i18n"]["zh-hans"]["label"], row["i18n"]["zh-hans"]["error"]) == ("测试", "空间不足。")


def test_a_job_of_an_operation_that_is_no_more_still_has_a_row() -> None:
    row = job_row(Job(operation="guest.levitate", state="succeeded"))
    assert (row["label"], row["cancellable"]) == ("guest.levitate", False)


@pytest.mark.parametrize(
    ("state", "requested", "operation", "expected"),
    [
        ("queued", False, "test.do", True),
        ("running", False, "test.do", False),
        ("running", False, "test.long", True),
        ("running", True, "test.long", False),
        ("undoing", False, "test.long", False),
        ("failed", False, "test.long", False),
    ],
)
def test_cancel_is_offered_where_it_would_be_honoured(
    declare: Declare, state: str, requested: bool, operation: str, expected: bool
) -> None:
    declare()
    declare("test.long", cancellable=True)
    assert cancellable(Job(operation=operation, state=state, cancel_requested=requested)) is expected
