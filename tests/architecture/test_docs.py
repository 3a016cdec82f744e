"""What is written is so: every operation and setting stands in the docs, and every picture, page and make target exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from dashboard.jobs.operation import OPERATIONS
from kvmweb.env import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LIMIT = 200_000


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def links(page: Path) -> list[str]:
    """Where a page's links and pictures lead, those to other sites left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def heading_anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosting sites make them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_operation_stands_in_the_guide(operation: str) -> None:
    if operation.startswith("test."):
        return  # made by another test of this run
    assert f"`{operation}`" in GUIDE.read_text(encoding="utf-8")


def test_the_guide_tells_of_no_operation_that_does_not_exist() -> None:
    rooms = {operation.partition(".")[0] for operation in OPERATIONS}
    told = re.findall(rf"`((?:{'|'.join(sorted(rooms))})\.[a-z_]+)`", GUIDE.read_text(encoding="utf-8"))
    assert sorted(set(told) - set(OPERATIONS)) == []


@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_every_setting_stands_in_the_table_of_settings(setting: str) -> None:
    assert f"| `{setting}` |" in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_docs_tell_of_no_setting_that_does_not_exist(page: Path) -> None:
    told = set(re.findall(r"\bKVMWEB_[A-Z_]+[A-Z]\b", page.read_text(encoding="utf-8")))
    # The stack sets the first for its processes, the tests read the third, the command line the last; others the benchmark.
    told = {one for one in told if not one.startswith("KVMWEB_BENCH_")}
    inner = {"KVMWEB_RUN_DIR", "KVMWEB_LOG_DIR", "KVMWEB_TEST_DATABASE", "KVMWEB_URL", "KVMWEB_TOKEN"}
    assert sorted(one for one in told - inner if one.removesuffix("_FILE") not in SETTINGS) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in heading_anchors(target), f"{link}: there is no such heading"


def test_pictures_are_small_and_made_by_make_pictures() -> None:
    program = (ROOT / "tests" / "pictures.py").read_text(encoding="utf-8")
    pictures = sorted((ROOT / "docs" / "images").glob("*"))
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < LIMIT, f"{picture.name} is larger than {LIMIT} bytes"
        with Image.open(picture) as image:
            assert not image.info.get("Comment") and not image.getexif(), f"{picture.name} tells of its making"
        stem = re.sub(r"-(light|dark|phone-light|phone-dark)$", "", picture.stem)
        assert stem in program, f"nothing makes {picture.name}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    rules = re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    told = re.findall(r"(?:^ {4}|`)(?:[A-Z_]+=\S+ )*make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(set(told) - targets) == []


def test_every_command_of_manage_py_that_is_named_exists() -> None:
    from django.core.management import get_commands

    told = {
        command for page in PAGES for command in re.findall(r"manage\.py ([a-z_]+)", page.read_text(encoding="utf-8"))
    }
    assert sorted(told - set(get_commands())) == []
