"""`python -m kvmweb.cli` against the real web process, worker, monitor and a real libvirt host."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.accounts import tokens
from dashboard.accounts.models import User
from dashboard.inventory.models import Guest, Host
from dashboard.inventory.publish import publish
from dashboard.jobs.models import Job
from tests.integration.inventory.mirror import Mirror
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost

ROOT = Path(__file__).resolve().parents[3]
Make = Callable[..., LabGuest]


class Shell:
    """A person's terminal with kvmweb's command line in it."""

    def __init__(self, mirror: Mirror, home: Path, person: User) -> None:
        self.mirror, self.home, self.person = mirror, home, person
        self.token, text = tokens.issue(person, "shell")
        folder = home / ".config" / "kvmweb"
        folder.mkdir(parents=True)
        (folder / "token").write_text(f"{text}\n")
        (folder / "token").chmod(0o600)
        (folder / "url").write_text(f"unix:{mirror.folder}/web.sock?host=127.0.0.1:8000\n")
        self.text, self.folder = text, folder

    def env(self, **more: str) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("KVMWEB_", "XDG_"))}
        return {**clean, "HOME": str(self.home), **more}

    def begin(self, *argv: str, **env: str) -> subprocess.Popen[str]:
        # Tests that run in the background have Ctrl-C switched off, and so would what they start.
        return subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-m", "kvmweb.cli", *argv],
            cwd=ROOT, env=self.env(**env), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *argv: str, code: int = 0, **env: str) -> str:
        """What it prints, and beside it when it fails."""
        process = self.begin(*argv, **env)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, (process.returncode, out, err, self.mirror.logs())
        return out if code == 0 else out + err

    def json(self, *argv: str) -> Any:
        return json.loads(self.run(*argv, "--json"))


@pytest.fixture
def shell(mirror: Mirror, tmp_path: Path) -> Iterator[Shell]:
    mirror.web()
    yield Shell(mirror, tmp_path / "home", mirror.person("ada", role="administrator"))


@pytest.fixture
def house(shell: Shell, lab_host: LabHost) -> Host:
    """A real host that the monitor has mirrored, and a worker."""
    shell.mirror.monitor()
    shell.mirror.start("worker", "-m", "kvmweb.worker")
    return shell.mirror.live(shell.mirror.add(lab_host, "alpha"))


def test_a_guest_is_listed_started_waited_for_and_forced_off(
    shell: Shell, house: Host, lab_host: LabHost, make_guest: Make
) -> None:
    made = make_guest(lab_host, "web-1")
    shell.mirror.guest(made.uuid, state="shutoff")
    assert [row["name"] for row in shell.json("guests", "state:off", "name:web-1")] == ["web-1"]
    assert "web-1" in shell.run("guests") and "STATE" in shell.run("guests")
    assert shell.json("guest", "show", "web-1")["uuid"] == made.uuid
    assert "Start web-1: Done" in shell.run("start", "web-1", "--wait")
    shell.mirror.guest(made.uuid, state="running")
    refused = shell.run("start", made.uuid, code=3)
    assert "It is running already." in refused
    job = shell.json("force-off", made.uuid, "--host", "alpha", "--wait")
    assert (job["state"], job["object_name"], job["created_by"]) == ("succeeded", "web-1", "ada")
    shell.mirror.guest(made.uuid, state="shutoff")
    assert Job.objects.get(pk=job["id"]).token == shell.token
    assert job["id"] in shell.run("jobs")
    assert job["id"] in shell.run("job", job["id"])


def test_parameters_are_told_by_name_and_errors_by_field(
    shell: Shell, house: Host, lab_host: LabHost, make_guest: Make
) -> None:
    made = make_guest(lab_host, "db-1")
    shell.mirror.guest(made.uuid)
    assert shell.json("tags", "db-1", "--tags", "prod,db", "--wait")["state"] == "succeeded"
    shell.mirror.guest(made.uuid, tags=["prod", "db"])
    assert shell.json("guest.title", "db-1", "--params", '{"title": "Orders"}', "--wait")["state"] == "succeeded"
    said = shell.run("rename", "db-1", "--name", "a/b", code=2)
    assert "name:" in said
    assert "--colour" in shell.run("start", "db-1", "--colour", "red", code=2)
    assert "usage" in shell.run("start", "db-1", "--help")
    assert "--params" in shell.run("start", "db-1", "--params", "{", code=2)


def test_a_job_that_fails_is_told_and_is_the_exit_code(
    shell: Shell, house: Host, lab_host: LabHost, make_guest: Make
) -> None:
    made = make_guest(lab_host, "gone-1")
    shell.mirror.guest(made.uuid)
    shell.mirror.end("monitor", signal.SIGKILL)  # what happens outside is not seen any more
    made.remove()
    said = shell.run("start", "gone-1", "--wait", code=1)
    assert "Failed" in said
    assert len(said.strip().splitlines()) > 1, "the error stands below"


def test_the_other_lists_show_what_the_mirror_has(shell: Shell, house: Host) -> None:
    assert [row["name"] for row in shell.json("hosts")] == ["alpha"]
    assert {row["host_name"] for row in shell.json("networks", "--host", "alpha")} <= {"alpha"}
    assert shell.run("pools").startswith("NAME")
    names = [row["name"] for row in shell.json("operations")]
    assert "guest.start" in names and "pool.refresh" in names
    assert shell.json("me")["username"] == "ada"


def test_ctrl_c_leaves_the_job_running_and_says_so(shell: Shell) -> None:
    host = Host.objects.create(name="alpha", transport="test", status="live")
    Guest.objects.create(host=host, uuid="0" * 32, name="web-1", state="shutoff")
    waiting = shell.begin("start", "web-1", "--wait")  # no worker runs: it stays queued
    job = shell.mirror.until(lambda: Job.objects.first(), 15, "the job is there")
    time.sleep(1)
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=15)
    assert waiting.returncode == 130, (out, err)
    assert f"kvm job {job.pk}" in err
    assert Job.objects.get().state == "queued"
    assert "Cancelled" in shell.run("cancel", str(job.pk), "--wait", code=1)
    assert Job.objects.get().state == "cancelled"


def test_a_name_on_several_hosts_must_be_told_apart(shell: Shell) -> None:
    for name in ("alpha", "beta"):
        host = Host.objects.create(name=name, transport="test", status="live")
        Guest.objects.create(host=host, uuid="1" * 32, name="web-1", state="shutoff")
    said = shell.run("start", "web-1", code=2)
    assert "alpha, beta" in said
    assert shell.json("start", "web-1", "--host", "beta")["host_name"] == "beta"
    assert "--host" in shell.run("guest", "show", "web-1", code=2)


def test_a_machine_is_made_on_the_host_that_is_named(shell: Shell) -> None:
    Host.objects.create(name="alpha", transport="test", status="live", memory_kib=1 << 23)
    wish = ("--name", "web-2", "--source", "none", "--disk-gib", "0", "--memory-mib", "512", "--start-now", "no")
    job = shell.json("create", "alpha", *wish)
    assert (job["operation"], job["host_name"], job["state"]) == ("guest.create", "alpha", "queued")
    params = Job.objects.get().params
    assert (params["name"], params["memory_mib"], params["start_now"]) == ("web-2", 512, False)
    assert "memory_mib:" in shell.run("create", "alpha", *wish[:6], "--name", "web-3", "--memory-mib", "much", code=2)


def test_what_is_refused_and_what_is_not_there_end_with_their_own_codes(shell: Shell, tmp_path: Path) -> None:
    assert "no guest" in shell.run("start", "nothing", code=3)
    assert "no command" in shell.run("dance", "web-1", code=2)
    assert "kvm" in shell.run(code=2)
    assert "colour" in shell.run("guests", "colour:red", code=2)
    tokens.revoke(shell.token, actor=shell.person)
    assert "token" in shell.run("guests", code=3)
    away = f"unix:{tmp_path}/nobody.sock"
    assert "cannot be reached" in shell.run("guests", code=4, KVMWEB_URL=away)


def test_a_token_that_others_can_read_is_not_used_and_none_is_taken_from_the_command_line(shell: Shell) -> None:
    (shell.folder / "token").chmod(0o640)
    assert "chmod 600" in shell.run("guests", code=2)
    (shell.folder / "token").unlink()
    assert "No token" in shell.run("guests", code=2)
    assert shell.run("guests", KVMWEB_TOKEN=shell.text).startswith("NAME")
    other = shell.home / "other"
    other.write_text(shell.text)
    other.chmod(0o600)
    assert shell.run("hosts", "--token-file", str(other)).startswith("ID")


def test_events_are_followed_until_ctrl_c(shell: Shell) -> None:
    following = shell.begin("events", "--kinds", "guest", "--json")
    assert following.stdout is not None
    assert json.loads(following.stdout.readline())["event"] == "hello"
    publish({"k": "guest", "host": 1, "uuid": "u", "op": "set", "row": {"name": "web\x1b[31m", "state": "running"}})
    heard = json.loads(following.stdout.readline())
    while heard["event"] == "monitor":
        heard = json.loads(following.stdout.readline())
    assert heard["data"]["row"]["name"] == "web\x1b[31m"
    following.send_signal(signal.SIGINT)
    assert following.wait(10) == 0


def test_no_name_moves_the_terminals_cursor(shell: Shell) -> None:
    host = Host.objects.create(name="alpha", transport="test", status="live")
    Guest.objects.create(host=host, uuid="2" * 32, name="evil\x1b[2J\u202e", state="shutoff")
    printed = shell.run("guests")
    assert "\x1b" not in printed and "\u202e" not in printed
    assert "evil?[2J?" in printed


def test_the_folder_alone_is_enough_and_manage_py_finds_its_own_installation(shell: Shell, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "kvmweb" / "cli", tmp_path / "kvm", ignore=shutil.ignore_patterns("__pycache__"))
    alone = subprocess.run(
        [sys.executable, "-S", "-m", "kvm", "me"],  # -S: without site-packages
        cwd=tmp_path, env=shell.env(), text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (alone.returncode, "ada" in alone.stdout) == (0, True), alone.stderr
    (shell.mirror.state / "run").mkdir(exist_ok=True)
    (shell.mirror.state / "run" / "web.sock").symlink_to(shell.mirror.folder / "web.sock")
    env = {**os.environ, **shell.env(), "KVMWEB_STATE_DIR": str(shell.mirror.state), "KVMWEB_TOKEN": shell.text}
    here = subprocess.run(
        [sys.executable, "manage.py", "kvm", "me", "--json"],
        cwd=ROOT, env=env, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert here.returncode == 0, here.stderr
    assert json.loads(here.stdout)["username"] == "ada"
