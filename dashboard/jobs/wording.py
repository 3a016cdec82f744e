"""Texts of jobs: kept in English with their values, translated for each reader; pydantic's errors in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _
from pydantic import ValidationError

from dashboard.jobs.operation import Operation, Params, Text

PLAIN: dict[str, Text] = {
    "missing": _("This field is required."),
    "extra_forbidden": _("There is no such field."),
    "string_type": _("Enter text."),
    "string_too_short": _("Enter at least %(min_length)s characters."),
    "string_too_long": _("Enter at most %(max_length)s characters."),
    "string_pattern_mismatch": _("This contains characters that are not allowed here."),
    "int_type": _("Enter a whole number."),
    "int_parsing": _("Enter a whole number."),
    "int_from_float": _("Enter a whole number."),
    "float_type": _("Enter a number."),
    "float_parsing": _("Enter a number."),
    "bool_type": _("Choose yes or no."),
    "bool_parsing": _("Choose yes or no."),
    "greater_than": _("Enter more than %(gt)s."),
    "greater_than_equal": _("Enter at least %(ge)s."),
    "less_than": _("Enter less than %(lt)s."),
    "less_than_equal": _("Enter at most %(le)s."),
    "literal_error": _("Choose one of the values offered."),
    "enum": _("Choose one of the values offered."),
    "uuid_parsing": _("This is not a UUID."),
    "list_type": _("Give a list."),
    "too_short": _("Give at least %(min_length)s."),
    "too_long": _("Give at most %(max_length)s."),
}


def english(text: Text) -> str:
    """The text as it is kept: the key of its translation."""
    with override(None):
        return str(text)


def spoken(text: str, values: dict[str, Any] | None = None) -> str:
    """A kept text in the active language, with its values filled in; values named "…_text" are kept texts themselves."""
    if not text:
        return ""
    translated = gettext(text)
    if not values:
        return translated
    own = {name: gettext(value) % values if name.endswith("_text") else value for name, value in values.items()}
    try:
        return translated % own
    except (KeyError, TypeError, ValueError):
        return f"{translated} {values}"


def validate(operation: Operation, params: dict[str, Any] | Params) -> tuple[Params | None, dict[str, list[str]]]:
    """(typed parameters, {}) or (None, errors by field in the active language)."""
    if isinstance(params, operation.params):
        return params, {}
    try:
        return operation.params.model_validate(params), {}
    except ValidationError as error:
        return None, plain_errors(error)


def plain_errors(error: ValidationError) -> dict[str, list[str]]:
    """Pydantic's errors by field ("disks.0.size"; "" for the whole), each as a sentence in the active language."""
    return plain_entries(error.errors(include_url=False, include_input=False))


def plain_entries(entries: Iterable[Mapping[str, Any]], skip: int = 0) -> dict[str, list[str]]:
    """The same for a list of pydantic's error entries; `skip` leaves out that many names at the front of each field."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        field = ".".join(str(part) for part in entry["loc"][skip:])
        context = entry.get("ctx", {})
        raised = context.get("error")
        if entry["type"] in ("value_error", "assertion_error") and raised:
            # ninja hands on the sentence in place of the exception
            sentence = str(raised.args[0]) if isinstance(raised, Exception) and raised.args else str(raised)
        else:
            sentence = spoken(english(PLAIN.get(entry["type"], _("This value cannot be used."))), context)
        found.setdefault(field, []).append(sentence)
    return found
