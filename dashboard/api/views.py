"""Pages of the API's room: the figures for Prometheus, and the description that one can browse."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from dashboard.accounts.decorators import need, signed_in
from dashboard.api.described import subjects
from dashboard.api.figures import Figures


@need("metrics.view")
def metrics(request: HttpRequest) -> HttpResponse:
    """`/metrics`: what Prometheus scrapes, with a token (`authorization: credentials_file`)."""
    host = request.GET.get("host", "")
    collector = Figures(request.user, host)  # type: ignore[arg-type]  # `need` lets nobody in who is not signed in
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    if collector.whole:
        ProcessCollector(registry=registry)
        registry.register(PLATFORM_COLLECTOR)
        registry.register(GC_COLLECTOR)
    encode, media_type = choose_encoder(request.headers.get("Accept", ""))
    answer = HttpResponse(encode(registry), content_type=media_type)
    answer["Cache-Control"] = "no-store"
    return answer


@signed_in
def docs(request: HttpRequest) -> HttpResponse:
    """The API's description to read, from `/api/v1/openapi.json`."""
    return render(request, "api/docs.html", {"subjects": subjects()})


@csrf_exempt  # it changes nothing, and who has a token has no other
@signed_in
def nowhere(request: HttpRequest, anything: str) -> HttpResponse:
    """An address below /api/ that there is not; `door.Door` finds the words."""
    return HttpResponse(status=404)
