"""Pages of storage: pools of all hosts, the volumes of one."""

from __future__ import annotations

from typing import cast

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from dashboard.accounts.decorators import need
from dashboard.accounts.models import User
from dashboard.storage import queries


@need("storage.view")
def pool_list(request: HttpRequest) -> HttpResponse:
    """The pools of all hosts that one may see."""
    return render(request, "storage/list.html", {"pools": queries.pools(cast("User", request.user))})


@need("storage.view")
def pool_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One pool and its volumes, 50 a page."""
    pool = get_object_or_404(queries.pools(cast("User", request.user)), pk=pk)
    page = Paginator(pool.volumes.order_by("name"), 50).get_page(request.GET.get("page"))
    return render(request, "storage/pool.html", {"pool": pool, "page": page})
