"""The fields of the question before an operation on many: made from its parameters, those that have a title."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from django.utils.translation import gettext
from pydantic.fields import FieldInfo

from dashboard.jobs.many import params_of
from dashboard.jobs.operation import Operation

Field = dict[str, Any]


def fields_of(declared: Operation) -> list[Field]:
    """What the dialog asks: name, label, kind (check, number, choice, words, text), value, choices, bounds."""
    found = []
    for name, info in params_of(declared).model_fields.items():
        if info.title or info.is_required():
            found.append(_field(name, info))
    return found


def _field(name: str, info: FieldInfo) -> Field:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    labels: Any = extra.get("x-labels") or {}
    field: Field = {
        "name": name,
        "label": gettext(info.title or name),
        "kind": _kind(info),
        "value": None if info.is_required() else info.default,
        "needed": info.is_required(),
        "choices": [(value, gettext(labels.get(value, str(value)))) for value in _choices(info)],
    }
    for rule in info.metadata:
        for bound, word in (("ge", "min"), ("le", "max"), ("max_length", "maxlength")):
            if (limit := getattr(rule, bound, None)) is not None:
                field[word] = limit
    return field


def _choices(info: FieldInfo) -> tuple[Any, ...]:
    return get_args(info.annotation) if get_origin(info.annotation) is Literal else ()


def _kind(info: FieldInfo) -> str:
    kind = info.annotation
    if kind is bool:
        return "check"
    if kind in (int, float):
        return "number"
    if get_origin(kind) in (tuple, list):
        return "words"
    return "choice" if get_origin(kind) is Literal else "text"
