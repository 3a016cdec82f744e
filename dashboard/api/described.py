"""The API's description as its page shows it: addresses by subject, each with what it takes and answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

Row = dict[str, Any]
DEEPEST = 4
"""How far parameters within parameters are followed."""


@lru_cache(maxsize=1)
def subjects() -> list[Row]:
    """[{"name", "routes"}] from the same description that /api/v1/openapi.json gives."""
    from dashboard.api.urls import api

    schema = api.get_openapi_schema()
    parts = schema["components"]["schemas"]
    found: dict[str, list[Row]] = {}
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            found.setdefault(told.get("tags", ["other"])[0], []).append(_route(path, method.upper(), told, parts))
    return [{"name": name, "id": f"about-{name.replace(' ', '-')}", "routes": routes} for name, routes in found.items()]


def _route(path: str, method: str, told: Mapping[str, Any], parts: Mapping[str, Any]) -> Row:
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    members = list(_members(body, parts))
    about, _dot, more = told.get("description", "").partition(". ")
    named = method != "GET" or not about  # a change has a name; of a read its first sentence says more
    return {
        "path": path,
        "method": method,
        "id": told["operationId"],
        "summary": told["summary"] if named else about.rstrip("."),
        "description": told.get("description", "") if named else more,
        "parameters": [_parameter(one, parts) for one in told.get("parameters", [])],
        "members": members,
        "answers": [_answer(status, one, parts) for status, one in told["responses"].items() if status < "300"],
        "opens": method == "GET" and "{" not in path and told["operationId"] != "listen",
        "example": _example(path, method, members),
    }


def _parameter(told: Mapping[str, Any], parts: Mapping[str, Any]) -> Row:
    schema = told["schema"]
    return {
        "name": told["name"],
        "where": told["in"],
        "required": told.get("required", False),
        "type": type_of(schema, parts),
        "default": _default(schema),
        "about": told.get("description") or schema.get("description", ""),
    }


def _members(schema: Mapping[str, Any], parts: Mapping[str, Any], before: str = "", depth: int = 0) -> Any:
    """The members of an object, those within them by "disks.0.size"."""
    schema = resolved(schema, parts)
    required = schema.get("required", [])
    for name, one in schema.get("properties", {}).items():
        yield {
            "name": before + name,
            "required": name in required,
            "type": type_of(one, parts),
            "default": _default(one),
            "about": one.get("description", "") or _titled(name, one),
        }
        if depth < DEEPEST:
            inner = resolved(one, parts)
            step = f"{before}{name}."
            if inner.get("type") == "array":
                inner, step = resolved(inner.get("items", {}), parts), f"{step}0."
            yield from _members(inner, parts, step, depth + 1)


def resolved(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference names; of alternatives the one that is an object."""
    for one in (schema, *schema.get("anyOf", [])):
        if "$ref" in one:
            return dict(parts[one["$ref"].rpartition("/")[2]])
    return schema


def type_of(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """A type in words: "integer 1…200", "name | -name", "[text]"."""
    if "anyOf" in schema:
        kinds = [type_of(one, parts) for one in schema["anyOf"]]
        return " | ".join(dict.fromkeys(kinds))
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " | ".join(json.dumps(one) if one == "" else str(one) for one in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"[{type_of(schema.get('items', {}), parts)}]"
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = f" {'' if low is None else low}…{'' if high is None or high > 2**53 else high}"
    return (schema.get("format") or kind) + (bounds if low is not None or high is not None else "")


def _titled(name: str, schema: Mapping[str, Any]) -> str:
    """The label that somebody gave a parameter; not the one that pydantic makes of its name."""
    title = str(schema.get("title", ""))
    return "" if title.lower() == name.replace("_", " ").lower() else title


def _default(schema: Mapping[str, Any]) -> str:
    return "" if schema.get("default") in (None, "") else json.dumps(schema["default"])


def _answer(status: str, told: Mapping[str, Any], parts: Mapping[str, Any]) -> Row:
    content: Mapping[str, Any] = told.get("content", {})
    media = next(iter(content), "")
    schema = content.get(media, {}).get("schema", {})
    members = list(_members(schema, parts, depth=DEEPEST))
    inner = resolved(resolved(schema, parts).get("properties", {}).get("items", {}), parts).get("items")
    if inner:
        members += list(_members(inner, parts, "items.0.", depth=DEEPEST))
    return {"status": status, "media": media, "members": members}


def _example(path: str, method: str, members: list[Row]) -> str:
    """A command line that asks it."""
    of_host = path.startswith("/api/v1/hosts/")
    address = re.sub(r"\{(\w+)\}", lambda name: "$ID" if of_host or name[1] == "pk" else "$UUID", path)
    line = 'curl -H "Authorization: Bearer $(cat ~/.config/kvmweb/token)"'
    if method != "GET":
        line += " -X POST"
        required = {one["name"]: "…" for one in members if one["required"] and "." not in one["name"]}
        if members:
            line += f" \\\n  --json '{json.dumps(required, ensure_ascii=False)}'"
    return f'{line} \\\n  "$KVMWEB_URL{address}"'
