"""The tags and filters of every page."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command
from django.http import HttpRequest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from dashboard.accounts.access import Rights
from dashboard.accounts.models import User
from dashboard.accounts.permissions import ADMINISTRATOR, ROLES, VIEWER
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.operation import OPERATIONS, NoParams, Operation
from dashboard.live.templatetags import assets

PLAIN = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
HASHED = {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def plain_static(settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "staticfiles": PLAIN}


def request_of(role: str | None) -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = AnonymousUser() if role is None else User(pk=1, username="alice")
    if role is not None:
        request.user.__dict__ |= {"role": role, "_rights": Rights(everywhere=ROLES[role])}
    return request


def render(source: str, role: str | None = VIEWER, **values: Any) -> str:
    return Template("{% load ui assets %}" + source).render(
        Context({"request": request_of(role), "CSP_NONCE": "n0nce", **values})
    )


@pytest.fixture
def start() -> Any:
    """An operation that is refused for what runs."""
    declared = Operation(
        name="guest.start-of-tags",
        label="Start",
        permission="guest.power",
        target="guest",
        steps=(),
        virsh=lambda target, params: "virsh start",
        params=NoParams,
        refuse=lambda target, params: "It runs already." if target.state == "running" else None,
    )
    OPERATIONS[declared.name] = declared
    yield declared
    del OPERATIONS[declared.name]


GUEST = Guest(host=Host(pk=3), uuid="6f1c1f8e-0000-4000-8000-000000000001", name="web-1", state="shutoff")


@pytest.mark.usefixtures("plain_static")
class TestUi:
    def test_an_icon_is_decoration_unless_it_has_a_name(self) -> None:
        assert 'aria-hidden="true"' in render('{% icon "play" %}')
        named = render('{% icon "lock" 16 words %}', words="Locked <b>")
        assert 'role="img"' in named
        assert "Locked &lt;b&gt;" in named

    def test_every_icon_of_a_template_or_script_is_in_the_sprite(self) -> None:
        symbols = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static/vendor/icons/sprite.svg").read_text()))
        for path in (ROOT / "templates").rglob("*.html"):
            used = set(re.findall(r'{% (?:icon|sprite) [\'"]([a-z0-9-]+)[\'"]', path.read_text()))
            assert used <= symbols, f"{path.name}: {used - symbols}"
        for path in (ROOT / "static" / "js").rglob("*.js"):
            used = set(re.findall(r'\b(?:icon|setIcon)\((?:[a-z]+, )?"([a-z0-9-]+)"', path.read_text()))
            assert used <= symbols, f"{path.name}: {used - symbols}"

    def test_a_state_has_shape_tone_and_word(self) -> None:
        html = render('{% state "crashed" %}')
        assert 'data-tone="bad"' in html
        assert "#state-crashed" in html
        assert ">Crashed<" in html

    def test_a_state_that_nobody_declared_looks_unknown(self) -> None:
        assert ">Unknown<" in render("{% state value %}", value="<script>")
        assert "<script>" not in render("{% state value %}", value="<script>")

    def test_a_meter_stays_within_its_box(self) -> None:
        assert 'width="100.0%"' in render("{% meter 1.7 %}")
        assert 'width="0.0%"' in render("{% meter nothing %}", nothing=None)
        assert "–" in render("{% meter nothing %}", nothing=None)

    def test_a_time_carries_its_exact_moment(self) -> None:
        html = render("{{ moment|ago }}", moment=timezone.now() - timedelta(minutes=5))
        assert ">5 min ago</time>" in html
        assert 'title="20' in html
        assert render("{{ moment|ago }}", moment=None) == "–"

    def test_the_pages_of_administrators_are_shown_to_administrators_only(self) -> None:
        source = '{% may "people.manage" as ok %}{{ ok }}'
        assert render(source, VIEWER) == "False"
        assert render(source, None) == "False"
        assert render(source, ADMINISTRATOR) == "True"

    def test_a_permission_that_nobody_declared_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            render('{% may "guest.explode" as ok %}')

    def test_a_viewer_gets_no_button_for_what_they_may_not_do(self, start: Operation) -> None:
        assert render("{% operation name guest %}", VIEWER, name=start.name, guest=GUEST).strip() == ""

    def test_a_button_names_its_target(self, start: Operation) -> None:
        html = render('{% operation name guest style="primary" %}', ADMINISTRATOR, name=start.name, guest=GUEST)
        assert f'data-key="{GUEST.uuid}"' in html
        assert 'data-host="3"' in html
        assert 'data-kind="guest"' in html
        assert "aria-disabled" not in html

    def test_a_button_that_does_not_fit_says_why(self, start: Operation) -> None:
        running = Guest(host=Host(pk=3), uuid=GUEST.uuid, state="running")
        html = render("{% operation name guest %}", ADMINISTRATOR, name=start.name, guest=running)
        assert 'aria-disabled="true" data-tip="It runs already."' in html


class TestAssets:
    @pytest.mark.usefixtures("plain_static")
    def test_the_import_map_carries_the_nonce_and_bare_names(self) -> None:
        html = render("{% import_map %}")
        assert html.startswith('<script type="importmap" nonce="n0nce">')
        imports = json.loads(re.sub(r"<[^>]*>", "", html))["imports"]
        assert imports["kvmweb/live"] == "/static/js/live.js"
        assert imports["kvmweb/modules/combobox"] == "/static/js/modules/combobox.js"

    @pytest.mark.usefixtures("plain_static")
    def test_every_style_sheet_and_preloaded_module_exists(self) -> None:
        for name in assets.STYLES:
            assert (ROOT / "static" / "css" / f"{name}.css").is_file()
        for name in assets.PRELOADED:
            assert (ROOT / "static" / "js" / f"{name}.js").is_file()

    def test_hashed_modules_are_reached_by_relative_imports_too(self, settings: Any, tmp_path: Path) -> None:
        settings.STORAGES = {**settings.STORAGES, "staticfiles": HASHED}
        settings.STATIC_ROOT = str(tmp_path)
        assets._cached_map.cache_clear()
        call_command("collectstatic", interactive=False, verbosity=0)
        imports = assets.build_map(("novnc",))
        address = imports["kvmweb/live"]
        assert re.fullmatch(r"/static/js/live\.[0-9a-f]{12}\.js", address)
        assert imports["/static/js/live.js"] == address
        assert (tmp_path / address.removeprefix("/static/")).is_file()
        assert re.search(r"websock\.[0-9a-f]{12}\.js$", imports["/static/vendor/novnc/core/websock.js"])
