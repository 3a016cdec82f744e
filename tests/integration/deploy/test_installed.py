"""An installation under systemd: everything serves, and each process may do what it needs and no more (ASVS 13.2.2)."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.integration.consoles.rfb import Rfb
from tests.integration.deploy.conftest import Installation, done, sound, well
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabError, LabHost, wait_for
from tests.survival.visitor import Visitor

pytestmark = pytest.mark.timeout(300)

USERS = {
    "redis": "kvmweb-redis",
    "web": "kvmweb-web",
    "worker": "kvmweb-jobs",
    "monitor": "kvmweb-jobs",
    "console": "kvmweb-console",
    "serial": "kvmweb-console",
}
ISO = Path("/usr/lib/grub-rescue/grub-rescue-cdrom.iso")


def opened(visitor: Visitor, path: str, origin: str = "", subprotocols: list[str] | None = None) -> ClientConnection:
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.cookies)
    return connect(
        visitor.url.replace("https", "wss") + path,
        ssl=visitor.tls,
        origin=origin or visitor.url,  # type: ignore[arg-type]
        subprotocols=subprotocols,  # type: ignore[arg-type]
        additional_headers={"Cookie": cookies},
    )


def refused(installation: Installation, *argv: str, user: str) -> str:
    with pytest.raises(LabError) as error:
        installation.machine.as_user(user, *argv)
    return str(error.value)


# --- it serves --------------------------------------------------------------------------------------------------------


def test_the_sign_in_page_comes_over_tls_with_hsts(installation: Installation) -> None:
    visitor = installation.visitor()
    with urllib.request.urlopen(f"{installation.url}/accounts/login/", context=visitor.tls, timeout=10) as answer:  # noqa: S310 - ours
        page, headers = answer.read().decode(), answer.headers
    assert 'name="login"' in page
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers.get_all("Content-Security-Policy") is not None
    assert "__Host-kvmweb-csrf" in headers["Set-Cookie"]
    sheet = re.search(r'href="(/static/[^"]+\.css)"', page)
    assert sheet is not None
    with urllib.request.urlopen(installation.url + sheet[1], context=visitor.tls, timeout=10) as answer:  # noqa: S310 - ours
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000", "nginx's own answers have it, too"
        assert answer.headers["Content-Type"] == "text/css"


def test_http_is_sent_on_to_https_and_says_nothing_else(installation: Installation) -> None:
    connection = http.client.HTTPConnection(installation.plain.removeprefix("http://"), timeout=10)
    connection.request("POST", "/accounts/login/?next=/hosts/", body=b"login=x&password=y", headers={"Host": "evil"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"{installation.url}/accounts/login/?next=/hosts/")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(("version", "works"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_only_tls_of_today_is_spoken(installation: Installation, version: str, works: bool) -> None:
    place = installation.url.removeprefix("https://")
    argv = ["openssl", "s_client", "-connect", place, version, "-cipher", "DEFAULT@SECLEVEL=0", "-brief"]
    said = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False)
    assert ("CONNECTION ESTABLISHED" in said.stderr) is works, said.stderr


@pytest.mark.usefixtures("enrolled")
def test_a_job_is_done_live_and_its_screen_is_shown(
    installation: Installation,
    admin: Visitor,
    ask: Callable[[str], Any],
    lab_host: LabHost,
    make_guest: Callable[..., LabGuest],
) -> None:
    guest = make_guest(lab_host, "served", image=ISO, memory_mib=64)
    known = wait_for(lambda: ask("/api/v1/guests?q=name:served")["items"], seconds=20, saying="the mirror shows it")[0]
    number = known["host"]["id"] if isinstance(known["host"], dict) else known["host"]
    with opened(admin, "/live/") as live:
        live.send(json.dumps({"since": "", "topics": ["guests"]}))
        status, said = admin.on_guest("guest.start", guest.uuid, str(number))
        assert status == 202, said
        assert done(ask, said["job"]["id"])["state"] == "succeeded"
    assert guest.virsh("domstate") == "running"

    status, told = admin.ask(
        "/consoles/ticket/",
        json.dumps({"host": number, "uuid": guest.uuid, "kind": "vnc"}).encode(),
        **{"Content-Type": "application/json"},
    )
    assert status == 200, told
    ticket = json.loads(told)["ticket"]
    with opened(admin, "/console/vnc", subprotocols=["binary", f"ticket.{ticket}"]) as ws:
        assert "served" in Rfb(ws).name
    assert "NOPERM" not in installation.redis("jobs", "INFO", "errorstats"), "nobody asked Redis what they may not"


def test_a_websocket_of_another_site_is_refused(admin: Visitor) -> None:
    with pytest.raises(InvalidStatus):
        opened(admin, "/live/", origin="https://elsewhere.example.org")


# --- each may do what it needs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", USERS)
def test_each_service_is_a_user_without_privileges(installation: Installation, service: str) -> None:
    pid = installation.main_pid(service)
    status = dict(
        line.split(":\t", 1)
        for line in installation.machine.run("cat", f"/proc/{pid}/status").splitlines()
        if ":\t" in line
    )
    uid = installation.machine.run("id", "-u", USERS[service]).strip()
    assert set(status["Uid"].split()) == {uid} != {"0"}
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh")} == {0}
    installation.machine.run("touch", "/tmp/of-all")
    seen = installation.machine.run("nsenter", f"--target={pid}", "--mount", "ls", "/tmp").split()
    assert "of-all" not in seen, "a /tmp of its own"
    for place in ("/etc/kvmweb", "/opt/kvmweb", "/usr/bin", "/home"):
        with pytest.raises(LabError):
            installation.machine.run("nsenter", f"--target={pid}", "--mount", "touch", f"{place}/written")


@pytest.mark.parametrize("service", [*USERS, "migrate"])
def test_systemd_finds_little_to_say_against_the_units(installation: Installation, service: str) -> None:
    """--threshold: tenths of its exposure level; an ordinary service is at 96."""
    installation.machine.run("systemd-analyze", "security", "--no-pager", "--threshold=15", f"kvmweb-{service}.service")


def test_the_units_hold_no_word_that_systemd_does_not_know(installation: Installation) -> None:
    units = [f"/etc/systemd/system/kvmweb-{service}.service" for service in [*USERS, "migrate"]]
    argv = ("systemd-analyze", "verify", "--man=no", *units, "/etc/systemd/system/kvmweb.target")
    assert installation.machine.run("sh", "-c", f"{' '.join(argv)} 2>&1").strip() == ""


@pytest.mark.usefixtures("enrolled")
def test_the_web_user_cannot_read_the_credentials_that_it_took_in(installation: Installation) -> None:
    machine = installation.machine
    assert "Permission denied" in refused(installation, "cat", "/etc/kvmweb/secrets/hosts", user="kvmweb-web")
    assert "Permission denied" in refused(installation, "ls", "/run/kvmweb/jobs/hosts", user="kvmweb-web")
    machine.as_user("kvmweb-jobs", "cat", "/etc/kvmweb/secrets/hosts")
    look = "from dashboard.inventory.models import Host; from dashboard.inventory.credentials import load_secrets"
    asked = f"{look}; print(load_secrets(Host.objects.get(name='far'))['password'])"

    def opens(kind: str) -> str:
        settings = f"set -a; . /etc/kvmweb/kvmweb.env; . /etc/kvmweb/{kind}.env"
        return machine.as_user(
            f"kvmweb-{kind}", "sh", "-c", f'{settings}; exec .venv/bin/python manage.py shell -v 0 -c "{asked}"'
        )

    assert opens("jobs").strip().endswith("rootpass")
    with pytest.raises(LabError, match="cannot be decrypted"):
        opens("web")


def test_no_kind_reads_the_settings_and_memory_of_another(installation: Installation) -> None:
    for kind in ("web", "jobs", "console"):
        for other in {"web", "jobs", "console"} - {kind}:
            user = f"kvmweb-{kind}"
            assert "Permission denied" in refused(installation, "cat", f"/etc/kvmweb/{other}.env", user=user)
            assert "Permission denied" in refused(installation, "cat", f"/etc/kvmweb/secrets/redis-{other}", user=user)
    worker = installation.main_pid("worker")
    assert "Permission denied" in refused(installation, "cat", f"/proc/{worker}/environ", user="kvmweb-web")
    for path in ("kvmweb.sqlite3", "secrets"):
        assert "Permission denied" in refused(installation, "ls", f"/var/lib/kvmweb/{path}", user="mail")
    for name in ("web", "console", "serial", "redis"):
        assert "Permission denied" in refused(installation, "ls", f"/run/kvmweb/{name}.sock/", user="mail")


def test_redis_lets_each_kind_do_its_own_work(installation: Installation) -> None:
    forbidden = {
        "web": [
            ("GETDEL", "kvmweb:ticket:x"),
            ("GET", "kvmweb:ticket:x"),
            ("XADD", "kvmweb:live:metrics", "*", "m", "{}"),
            ("SET", "kvmweb:monitor:heartbeat", "1"),
            ("SET", "kvmweb:screens:picture:1:x", "1"),
            ("SET", "elsewhere", "1"),
            ("BRPOP", "actions", "1"),
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("EVAL", "return 1", "0"),
            ("SCAN", "0"),
            ("CLIENT", "KILL", "ID", "1"),
            ("MONITOR",),
        ],
        "console": [("LPUSH", "actions", "x"), ("XADD", "kvmweb:live", "*", "m", "{}"), ("PUBLISH", "kvmweb:ask", "x")],
        "jobs": [("CONFIG", "SET", "maxmemory", "1"), ("FLUSHALL",), ("SHUTDOWN",), ("ACL", "LIST"), ("KEYS", "*")],
    }
    for kind, commands in forbidden.items():
        assert installation.redis(kind, "PING") == "PONG"
        for command in commands:
            assert "NOPERM" in installation.redis(kind, *command), (kind, command)
    argv = ("redis-cli", "-s", "/run/kvmweb/redis.sock", "PING")
    assert "NOAUTH" in installation.machine.as_user("kvmweb-web", *argv)
    assert "Permission denied" in refused(
        installation, "redis-cli", "-e", "-s", "/run/kvmweb/redis/redis.sock", "PING", user="www-data"
    )


# --- it lasts -------------------------------------------------------------------------------------------------------


def test_what_sqlite_makes_belongs_to_all_who_share_it(installation: Installation) -> None:
    listed = installation.machine.run("sh", "-c", "stat -c '%a %G' /var/lib/kvmweb/kvmweb.sqlite3*").splitlines()
    assert len(listed) == 3, "with its -wal and -shm"
    assert set(listed) == {"660 kvmweb"}


@pytest.mark.parametrize("service", ["web", "console", "monitor", "redis"])
def test_a_service_that_is_killed_comes_back(installation: Installation, service: str) -> None:
    before = installation.main_pid(service)
    installation.machine.run("systemctl", "kill", "--signal=KILL", f"kvmweb-{service}")
    wait_for(lambda: installation.main_pid(service) not in (0, before), seconds=20, saying="it is back")
    wait_for(lambda: installation.visitor().ask("/accounts/login/")[0] == 200, seconds=30, every=0.3)


def test_the_doctor_knows_the_units(installation: Installation) -> None:
    assert "make run" not in sound(installation)
    installation.machine.run("systemctl", "stop", "kvmweb-monitor")
    try:
        assert "kvmweb-monitor.service is inactive" in well(installation)
    finally:
        installation.machine.run("systemctl", "start", "kvmweb-monitor")


@pytest.mark.usefixtures("enrolled")
def test_installing_again_keeps_everything_and_takes_changed_settings(
    installation: Installation, ask: Callable[[str], Any]
) -> None:
    machine = installation.machine
    kept = (
        "sha256sum /etc/kvmweb/secrets/* /etc/kvmweb/tls/* /etc/kvmweb/*.env; stat -c %i /var/lib/kvmweb/kvmweb.sqlite3"
    )
    machine.run("sh", "-c", "echo KVMWEB_WORKER_THREADS=3 >>/etc/kvmweb/kvmweb.env")
    before = machine.run("sh", "-c", kept)
    said = installation.install()
    assert machine.run("sh", "-c", kept) == before
    assert "first administrator" not in said, "there is one"
    environ = machine.run("sh", "-c", f"tr '\\0' '\\n' </proc/{installation.main_pid('worker')}/environ")
    assert "KVMWEB_WORKER_THREADS=3" in environ.splitlines()
    assert [host["name"] for host in ask("/api/v1/hosts")["items"]] == ["far"]
    with pytest.raises(LabError, match="has another KVMWEB_PUBLIC_URL"):
        installation.install("https://other.example.org")


@pytest.mark.usefixtures("enrolled")
def test_a_backup_is_made_by_the_one_who_has_the_keys(installation: Installation) -> None:
    installation.machine.run("kvmweb", "backup", "/var/backups/kvmweb/one.tar.gz")
    listed = installation.machine.run("stat", "-c", "%a %U", "/var/backups/kvmweb/one.tar.gz").split()
    assert listed == ["600", "kvmweb-jobs"]
    assert "secrets/hosts" in installation.machine.run("tar", "-tzf", "/var/backups/kvmweb/one.tar.gz")
