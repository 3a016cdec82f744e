"""An installation under systemd that goes and comes back: uninstalled, purged, restored, moved to PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.deploy.conftest import PASSWORD, Installation, sound
from tests.lab.hosts import LabError, wait_for
from tests.survival.visitor import Visitor

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("enrolled")]

BACKUP = "/var/backups/kvmweb/kept.tar.gz"
DATABASE = "KVMWEB_DATABASE_URL=postgresql://kvmweb@/kvmweb?host=/run/postgresql"
KEYS = "cd /etc/kvmweb/secrets && for key in django encryption hosts hosts.pub; do echo $key $(cat $key); done; stat -c '%n %a %U %G' *"


@pytest.fixture
def backup(installation: Installation) -> Iterator[str]:
    """A backup of how things are."""
    installation.machine.run("kvmweb", "backup", BACKUP)
    yield BACKUP
    installation.machine.run("rm", BACKUP)


def all_is_there(installation: Installation) -> None:
    """The administrator signs in, the host is reached with the password that was kept, nothing is broken."""
    visitor = installation.visitor()
    wait_for(lambda: visitor.ask("/accounts/login/")[0] == 200, seconds=20, every=0.2, saying="pages are served")
    visitor.sign_in("root-of-all", PASSWORD)

    def live() -> bool:
        _status, said = visitor.ask("/api/v1/hosts")
        return b'"far"' in said and b'"live"' in said

    wait_for(live, seconds=40, every=0.3, saying="the host is reached")
    assert "Hosts' credentials can be opened" in sound(installation)


def gone(installation: Installation) -> None:
    """Nothing runs, nothing answers, no unit is left."""
    machine = installation.machine
    assert machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "kvmweb*").strip() == ""
    assert machine.run("find", "/etc/systemd", "-name", "kvmweb*") == ""
    running = machine.run("ps", "-eo", "user:20,args")
    assert not [line for line in running.splitlines() if line.startswith("kvmweb-")]
    for path in ("/usr/local/sbin/kvmweb", "/run/kvmweb", "/var/cache/kvmweb", "/etc/sysusers.d/kvmweb.conf"):
        with pytest.raises(LabError):
            machine.run("test", "-e", path)
    machine.run("nginx", "-t", "-q")
    with pytest.raises(OSError):
        Visitor(installation.url).ask("/")


def test_uninstalling_keeps_what_kvmweb_knows(installation: Installation) -> None:
    machine = installation.machine
    before = machine.run("sh", "-c", KEYS)
    machine.run("deploy/uninstall")
    gone(installation)
    machine.run("test", "-s", "/var/lib/kvmweb/kvmweb.sqlite3")
    installation.install()
    assert machine.run("sh", "-c", KEYS) == before
    all_is_there(installation)


def test_a_restore_that_is_refused_leaves_kvmweb_running(installation: Installation, backup: str) -> None:
    before = installation.main_pid("web")
    with pytest.raises(LabError, match="there is no such file"):
        installation.machine.run("kvmweb", "restore", "/nowhere")
    assert installation.main_pid("web") == before
    with pytest.raises(LabError, match="--replace"):
        installation.machine.run("kvmweb", "restore", backup)
    all_is_there(installation)


def test_what_was_purged_comes_back_with_one_command(installation: Installation, backup: str) -> None:
    machine = installation.machine
    before = machine.run("sh", "-c", KEYS)
    machine.run("deploy/uninstall", "--purge")
    gone(installation)
    users = machine.run("sh", "-c", "getent passwd; getent group")
    assert "kvmweb" not in users
    for path in ("/etc/kvmweb", "/var/lib/kvmweb", "/var/log/nginx/kvmweb.access.log"):
        with pytest.raises(LabError):
            machine.run("test", "-e", path)

    assert "first administrator" in installation.install(installation.url)
    assert machine.run("sh", "-c", KEYS) != before
    said = machine.run("kvmweb", "restore", backup)
    assert "Restored: " in said
    assert "kvmweb is ready" in said
    assert "first administrator" not in said
    assert machine.run("sh", "-c", KEYS) == before, "keys, and who may read them"
    all_is_there(installation)
    database = machine.run("sh", "-c", "stat -c '%a %U %G' /var/lib/kvmweb/kvmweb.sqlite3").split()
    assert database == ["660", "kvmweb-jobs", "kvmweb"]
    assert machine.run("find", "/var/lib/kvmweb", "-mindepth", "1", "-user", "root") == "", (
        "nothing that only root reads"
    )


def test_one_in_use_is_replaced_on_purpose_and_kept_aside(installation: Installation, backup: str) -> None:
    machine = installation.machine
    machine.run("kvmweb", "create_admin", "--username", "later", "--password-file", "-", text=PASSWORD)
    said = machine.run("kvmweb", "restore", backup, "--replace")
    assert "What was here before is in /var/lib/kvmweb/replaced-" in said
    all_is_there(installation)
    with pytest.raises(AssertionError):
        installation.visitor().sign_in("later", PASSWORD)
    machine.run(
        "sh", "-c", "test -s /var/lib/kvmweb/replaced-*/kvmweb-backup.tar.gz && rm -r /var/lib/kvmweb/replaced-*"
    )


def test_it_moves_to_postgresql(installation: Installation, backup: str) -> None:
    """As docs/deploy.md says it, with a cluster as Debian makes it."""
    machine = installation.machine
    version = machine.run("sh", "-c", "ls /usr/lib/postgresql | sort -n | tail -1").strip()
    machine.run("sh", "-c", "rm -rf /etc/postgresql/* /var/lib/postgresql/*")
    # Nothing but the socket: the network of the tests is not the machine's own.
    machine.run("pg_createcluster", version, "main", "-p", "5432", "-o", "listen_addresses=", "-o", "fsync=off")
    machine.run("systemctl", "start", f"postgresql@{version}-main")
    machine.as_user("postgres", "createuser", "kvmweb")
    machine.as_user("postgres", "createdb", "kvmweb", "--owner", "kvmweb")
    machine.run("sh", "-c", "sed -i '1i local kvmweb kvmweb peer map=kvmweb' /etc/postgresql/*/main/pg_hba.conf")
    names = "kvmweb-web kvmweb-jobs kvmweb-console root"
    machine.run("sh", "-c", f"printf 'kvmweb %s kvmweb\\n' {names} >>$(echo /etc/postgresql/*/main/pg_ident.conf)")
    machine.run("systemctl", "reload", f"postgresql@{version}-main")
    machine.run("sh", "-c", f"echo '{DATABASE}' >>/etc/kvmweb/kvmweb.env")
    assert "first administrator" in installation.install()
    assert "Restored: " in machine.run("kvmweb", "restore", backup)
    all_is_there(installation)
    asked = ("psql", "--no-align", "--tuples-only", "kvmweb", "-c", "SELECT name FROM inventory_host")
    assert machine.as_user("postgres", *asked).split() == ["far"]
    isolated = machine.run("systemctl", "show", "--value", "-p", "PrivateNetwork", "kvmweb-web")
    assert isolated.strip() == "yes", "a socket needs no network"
    with pytest.raises(LabError, match="Peer authentication failed"):
        machine.as_user("www-data", "psql", "-U", "kvmweb", "kvmweb", "-c", "SELECT 1")
