"""NUL characters, which PostgreSQL cannot keep, stay outside."""

from __future__ import annotations

import json

import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import RequestFactory

from dashboard.live.nulls import NoNulls


def answer(request: HttpRequest) -> HttpResponse:
    """What a view behind the middleware is given."""
    refused = middleware.process_view(request, answer, (), {})
    return refused or JsonResponse({"get": request.GET, "post": request.POST})


middleware = NoNulls(answer)
make = RequestFactory()


def seen(request: HttpRequest) -> dict[str, dict[str, str]]:
    response = middleware(request)
    assert response.status_code == 200
    found: dict[str, dict[str, str]] = json.loads(response.content)
    return found


def test_an_address_loses_its_nulls_and_keeps_the_rest() -> None:
    assert seen(make.get("/?q=we%00b&plain=a%20b"))["get"] == {"q": "web", "plain": "a b"}


def test_a_form_loses_its_nulls_in_names_too() -> None:
    assert seen(make.post("/", {"na\x00me": "o\x00ne", "note": "two\nlines"}))["post"] == {
        "name": "one",
        "note": "two\nlines",
    }


@pytest.mark.parametrize("body", [b'{"a": "x\\u0000y"}', b'{"a": "x\x00y"}', b'{"a": "\\\\\\u0000"}'])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_json_with_a_null_is_refused_with_a_sentence(body: bytes, kind: str) -> None:
    response = middleware(make.generic("POST", "/api/v1/guests", body, content_type=kind))
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert "NUL" in json.loads(response.content)["detail"]


@pytest.mark.parametrize("body", [b'{"a": "\\\\u0000"}', b'{"a": "u0000"}', b"{}"])
def test_json_that_only_speaks_of_nulls_passes(body: bytes) -> None:
    assert middleware(make.generic("POST", "/api/v1/guests", body, content_type="application/json")).status_code == 200
