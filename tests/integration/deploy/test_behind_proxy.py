"""An installation behind a proxy that is there already: `deploy/install --behind-proxy`."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.e2e.stack import free_port
from tests.integration.deploy.conftest import PASSWORD, Installation, installed, sound
from tests.lab.hosts import LabError

pytestmark = pytest.mark.timeout(180)

NAME = "vm.example.org"
VISITOR = "203.0.113.9"
ASKED = (
    "from dashboard.accounts.models import AuditEntry; "
    "print(*AuditEntry.objects.filter(action='session.start').order_by('at').values_list('source_ip', flat=True))"
)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    place = f"127.0.0.1:{free_port()}"
    settings = {"KVMWEB_LISTEN": place}
    with installed(tmp_path_factory, f"https://{NAME}", f"http://{place}", settings, "--behind-proxy") as here:
        yield here


def asked(
    installation: Installation, path: str, body: bytes | None = None, source: str = "127.0.0.1", **headers: str
) -> http.client.HTTPResponse:
    """What a proxy with the address `source` is answered, when VISITOR asks it."""
    connection = http.client.HTTPConnection(
        installation.plain.removeprefix("http://"), timeout=10, source_address=(source, 0)
    )
    given = {"Host": NAME, "X-Forwarded-For": VISITOR, "X-Forwarded-Proto": "https"} | headers
    connection.request("POST" if body is not None else "GET", path, body=body, headers=given)
    return connection.getresponse()


def sign_in(installation: Installation, **more: str) -> None:
    """The administrator comes, by the same way."""
    page = asked(installation, "/accounts/login/", **more)
    cookie = str(page.headers["Set-Cookie"]).partition(";")[0]
    form = {"login": "root-of-all", "password": PASSWORD, "csrfmiddlewaretoken": cookie.partition("=")[2]}
    sent = {"Cookie": cookie, "Origin": f"https://{NAME}", "Content-Type": "application/x-www-form-urlencoded"}
    answer = asked(installation, "/accounts/login/", urlencode(form).encode(), **sent, **more)
    assert answer.status == 302, answer.read()


def test_the_installer_names_the_address_that_people_type(installation: Installation) -> None:
    assert f"  https://{NAME}/setup/" in installation.said
    sound(installation)


def test_nothing_listens_for_tls_and_no_certificate_is_made(installation: Installation) -> None:
    site = installation.machine.run("cat", "/etc/nginx/sites-available/kvmweb")
    assert "ssl" not in site
    assert site.count("listen 127.0.0.1:") == site.count("listen ") == 2
    with pytest.raises(LabError):
        installation.machine.run("test", "-e", "/etc/kvmweb/tls/certificate.pem")


def test_pages_are_those_of_https(installation: Installation) -> None:
    page = asked(installation, "/accounts/login/")
    assert page.status == 200
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "__Host-kvmweb-csrf" in page.headers["Set-Cookie"]
    assert "Secure" in page.headers["Set-Cookie"]


def test_the_proxy_is_believed_about_whom_it_forwards_for_and_nobody_else(installation: Installation) -> None:
    administrator = ("create_admin", "--username", "root-of-all", "--password-file", "-")
    installation.machine.run("kvmweb", *administrator, text=PASSWORD)
    sign_in(installation)
    sign_in(installation, source="127.0.0.2")
    sign_in(installation, **{"X-Forwarded-For": f"198.51.100.1, {VISITOR}"})
    # What stands before the proxy's own word was sent by the visitor.
    said = installation.machine.run("kvmweb", "shell", "-v", "0", "-c", ASKED)
    assert said.split() == [VISITOR, "127.0.0.2", VISITOR]
