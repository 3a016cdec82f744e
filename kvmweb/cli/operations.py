"""Runs any operation that the API declares: finds it, its object and its parameters, and waits for its job."""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from . import show
from .client import Api
from .errors import DONE, FAILED, INTERRUPTED, REFUSED, UNREACHABLE, USAGE, CommandError

WAIT = 25
"""Seconds that one request waits for a job."""
TRIES = 3
LISTS = {"guest": "/guests", "pool": "/pools", "network": "/networks", "host": "/hosts"}


def find(api: Api, word: str) -> dict[str, Any]:
    """The operation that a word names: "guest.force_off", "force-off", "pool-start"."""
    declared: dict[str, dict[str, Any]] = {one["name"]: one for one in api.get("/operations")["items"]}
    plain = word.replace("-", "_")
    for name in (plain, f"guest.{plain}", plain.replace("_", ".", 1)):
        if name in declared:
            return declared[name]
    raise CommandError(f"There is no command “{word}”. `kvm help` and `kvm operations` list what there is.", USAGE)


def target(api: Api, kind: str, name: str, host: str) -> dict[str, Any]:
    """The one object of that name or UUID (on that host)."""
    if kind == "guest" and not _is_uuid(name):
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        rows = list(api.items("/guests", q=f'name:"{quoted}"'))
    else:
        rows = list(api.items(LISTS[kind]) if kind != "guest" else api.items("/guests", q=f"uuid:{name}"))
    found = [row for row in rows if name in (row["name"], str(row.get("uuid", "")), _number(kind, row))]
    found = [row for row in found if not host or host in (row.get("host_name"), str(row.get("host")))]
    if not found:
        where = f" on {host}" if host else ""
        raise CommandError(f"There is no {kind} {show.plain(name)}{where}, or you may not see it.", REFUSED)
    if len(found) > 1:
        hosts = ", ".join(sorted(str(row["host_name"]) for row in found))
        raise CommandError(f"Several hosts have a {kind} {show.plain(name)}: --host with one of {hosts}", USAGE)
    return found[0]


def parameters(operation: dict[str, Any], given: list[str]) -> dict[str, Any]:
    """--name value → parameters, each read as its type wants it; --params takes JSON, @file or @- (standard input)."""
    schema = operation["params"]
    parser = argparse.ArgumentParser(prog=f"kvm {operation['name']}", add_help=True, description=operation["label"])
    parser.add_argument("--params", default="{}", help="JSON, @file or @-: for many, and for secrets")
    for name, described in schema.get("properties", {}).items():
        flags = list(dict.fromkeys([f"--{name.replace('_', '-')}", f"--{name}"]))
        said = str(described.get("description") or described.get("title") or "").replace("%", "%%")
        parser.add_argument(*flags, dest=name, default=argparse.SUPPRESS, help=said)
    taken = vars(parser.parse_args(given))
    params = _json(str(taken.pop("params")))
    if not isinstance(params, dict):
        raise CommandError("--params takes a JSON object.", USAGE)
    return params | {name: _value(schema["properties"][name], text) for name, text in taken.items()}


def run(api: Api, word: str, given: list[str], *, host: str, wait: bool, as_json: bool) -> int:
    """Do it; with `wait` the exit code is the job's."""
    operation = find(api, word)
    path, named = str(operation["path"]).removeprefix("/api/v1"), ""
    if operation["target"] == "none":
        if host:
            named = f"?host={target(api, 'host', host, '')['id']}"
    else:
        if not given or given[0].startswith("-"):
            raise CommandError(f"kvm {word} NAME|UUID: which {operation['target']}?", USAGE)
        row = target(api, operation["target"], given.pop(0), host)
        path = path.replace("{uuid}", str(row.get("uuid", ""))).replace("{id}", str(row["id"]))
        named = "" if operation["target"] == "host" else f"?host={row['host']}"
    params = parameters(operation, given)
    job = _post(api, path + named, params)
    return follow(api, job, as_json=as_json) if wait else told(job, as_json=as_json)


def _post(api: Api, path: str, params: dict[str, Any]) -> dict[str, Any]:
    """Ask for it once: with one key it may be sent again when the answer was lost."""
    key = uuid.uuid4().hex
    for attempt in range(TRIES):
        try:
            job: dict[str, Any] = api.post(path, params, **{"Idempotency-Key": key})
            return job
        except CommandError as error:
            if error.code != UNREACHABLE or attempt == TRIES - 1:
                raise
            time.sleep(1 + attempt)
    raise AssertionError("unreachable")


def told(job: dict[str, Any], *, as_json: bool) -> int:
    """Say which job it became."""
    if as_json:
        show.as_json(job)
    else:
        show.say(f"{show.plain(job['label'])} {show.plain(job['object_name'])}: job {job['id']}")
    return DONE


def follow(api: Api, job: dict[str, Any], *, as_json: bool) -> int:
    """Wait for the job's end. Ctrl-C leaves it to run."""
    try:
        while job["active"]:
            job = api.get(f"/jobs/{job['id']}", wait=WAIT)
            if sys.stderr.isatty() and job["active"]:
                show.complain(f"{show.plain(job['state_label'])}: {show.plain(job['message'] or job['label'])}")
    except KeyboardInterrupt:
        show.complain(f"The job goes on: kvm job {job['id']}; to end it: kvm cancel {job['id']}")
        return INTERRUPTED
    if as_json:
        show.as_json(job)
    else:
        show.say(f"{show.plain(job['label'])} {show.plain(job['object_name'])}: {show.plain(job['state_label'])}")
    if job["state"] == "succeeded":
        return DONE
    for text in (job["error"], job["error_detail"], *job["leftovers"]):
        if text:
            show.complain(show.plain(text))
    if job["offer"]:
        show.complain(f"Instead: {show.plain(job['offer']['label'])} (kvm {job['offer']['operation']})")
    return FAILED


def _number(kind: str, row: dict[str, Any]) -> str:
    return str(row["id"]) if kind == "host" else ""


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _json(text: str) -> Any:
    try:
        if text == "@-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise CommandError(f"--params: {error}", USAGE) from error


def _types(schema: dict[str, Any]) -> set[str]:
    return {str(one.get("type", "")) for one in (schema, *schema.get("anyOf", []))} - {""}


def _value(schema: dict[str, Any], text: str) -> Any:
    """A parameter's text as its type; what does not fit is sent as it is, for the server to say what is wrong."""
    types = _types(schema)
    if "boolean" in types and text.lower() in ("yes", "no", "true", "false", "1", "0"):
        return text.lower() in ("yes", "true", "1")
    if types & {"array", "object"}:
        if text[:1] in "[{":
            return _json(text)
        return [part for part in text.split(",") if part] if "array" in types else text
    if types & {"integer", "number"}:
        try:
            return int(text) if "integer" in types else float(text)
        except ValueError:
            return text
    return text
