"""The command line's words: what is asked for, from where, and how it ends."""

from __future__ import annotations

import argparse
import signal
from typing import Any

from . import events, operations, place, show
from .client import Api
from .errors import DONE, INTERRUPTED, USAGE, CommandError

HELP = """kvm [OPTION…] COMMAND …

  guests [SEARCH…]            virtual machines; the search as in the page's box: state:running host:alpha db*
  guest show NAME|UUID        one of them
  start|shutdown|force-off|… NAME|UUID [--PARAMETER VALUE…]
                              any operation of `kvm operations`; pool-start, guest.create, … in the same way
  hosts · pools · networks    lists
  jobs [--state STATE]        jobs, newest first (active, failed, …); 50, or --limit N
  job ID · cancel ID · retry ID
  events [--kinds KIND,…]     what changes, as it happens
  operations · me             what can be done · who you are

  --host NAME|ID              on that host; where several have an object of that name it must be told
  --wait                      wait for the job; the exit code is then the job's
  --json                      for other programs
  --token-file FILE           instead of KVMWEB_TOKEN or ~/.config/kvmweb/token (mode 600)

KVMWEB_URL (or ~/.config/kvmweb/url) says where kvmweb is: https://vm.example.org, unix:/run/web.sock?host=NAME
Ends with 0 done, 1 the job failed, 2 the command is wrong, 3 refused, 4 not reachable.
"""
LISTS = {"hosts": "/hosts", "pools": "/pools", "networks": "/networks"}


def main(argv: list[str]) -> int:
    """Run one command; returns the exit code."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `kvm guests | head` ends as other commands do
    try:
        options, rest = _options(argv)
        return _run(options, rest)
    except CommandError as error:
        show.complain(show.plain_lines(str(error)))
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as error:  # argparse has said why
        return error.code if isinstance(error.code, int) else USAGE


def _options(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options that every command has, wherever they stand, and the rest."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--host", default="")
    parser.add_argument("--token-file")
    return parser.parse_known_args(argv)


def _run(options: argparse.Namespace, rest: list[str]) -> int:
    word, given = (rest[0], rest[1:]) if rest else ("help", [])
    if word in ("help", "--help", "-h"):
        show.say(HELP)
        return DONE if rest else USAGE
    api = Api(place.url(), place.token(options.token_file))
    if word == "guests":
        return _list(api, "guests", options, q=" ".join(given + ([f'host:"{options.host}"'] if options.host else [])))
    if word in LISTS:
        return _list(api, word, options, host=_host(api, options.host) if word != "hosts" else "")
    if word == "guest":
        return _guest(api, options, given)
    if word in ("jobs", "job", "cancel", "retry"):
        return _jobs(api, options, word, given)
    if word == "events":
        parser = argparse.ArgumentParser(prog="kvm events")
        parser.add_argument("--kinds", default="")
        kinds = parser.parse_args(given).kinds
        return events.listen(api, kinds, _host(api, options.host), as_json=options.as_json)
    if word == "operations":
        return _list(api, "operations", options)
    if word == "me":
        return _one(api.get("/me"), options)
    return operations.run(api, word, given, host=options.host, wait=options.wait, as_json=options.as_json)


def _host(api: Api, host: str) -> str:
    """A host's id, by its name or id."""
    return str(operations.target(api, "host", host, "")["id"]) if host else ""


def _list(api: Api, kind: str, options: argparse.Namespace, **query: Any) -> int:
    rows = list(api.items(f"/{kind}", **query)) if kind != "operations" else api.get("/operations")["items"]
    if options.as_json:
        show.as_json(rows)
    else:
        show.table(kind, rows)
    return DONE


def _one(row: dict[str, Any], options: argparse.Namespace) -> int:
    if options.as_json:
        show.as_json(row)
    else:
        show.one(row)
    return DONE


def _guest(api: Api, options: argparse.Namespace, given: list[str]) -> int:
    if len(given) != 2 or given[0] != "show":
        raise CommandError("kvm guest show NAME|UUID [--host HOST]", USAGE)
    return _one(operations.target(api, "guest", given[1], options.host), options)


def _jobs(api: Api, options: argparse.Namespace, word: str, given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"kvm {word}")
    if word == "jobs":
        parser.add_argument("--state", default="")
        parser.add_argument("--limit", type=int, default=50)
        asked = parser.parse_args(given)
        found = api.get("/jobs", state=asked.state, limit=asked.limit, host=_host(api, options.host))["items"]
        if options.as_json:
            show.as_json(found)
        else:
            show.table("jobs", found)
        return DONE
    parser.add_argument("id")
    number = parser.parse_args(given).id
    if word == "job":
        job = api.get(f"/jobs/{number}")
        return operations.follow(api, job, as_json=options.as_json) if options.wait else _one(job, options)
    job = api.post(f"/jobs/{number}/{word}")
    return (operations.follow if options.wait else _told)(api, job, as_json=options.as_json)


def _told(api: Api, job: dict[str, Any], *, as_json: bool) -> int:
    return operations.told(job, as_json=as_json)
