"""What a guest is called and how it is described: name, title, description, tags, autostart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, Self

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from lxml import etree
from pydantic import AfterValidator, Field, model_validator

from dashboard.accounts import grants
from dashboard.accounts.access import Place
from dashboard.guests.operations.common import (
    NEEDS_OFF,
    by_state,
    first_of,
    nothing_saved,
    persistent_only,
    virsh,
    virsh_word,
)
from dashboard.inventory.models import Guest
from dashboard.jobs.errors import Failed
from dashboard.jobs.operation import Many, Operation, Params, Step, Text, register
from dashboard.virt import change
from dashboard.virt.xml.domain import KVMWEB, Domain, fill
from dashboard.virt.xml.parse import to_text
from dashboard.virt.xml.text import valid_description, valid_name, valid_tags, valid_title

if TYPE_CHECKING:
    from dashboard.accounts.models import User
    from dashboard.jobs.context import Context


def _rule(check: Callable[[Any], Any], message: Promise) -> AfterValidator:
    """A validator of `virt`, with our translated sentence instead of its own."""

    def validate(value: Any) -> Any:
        try:
            return check(value)
        except ValueError as error:
            raise ValueError(message) from error

    return AfterValidator(validate)


NAME_RULE = _(
    "Use 1 to 63 letters, digits, dots, dashes or underscores; begin with a letter or digit, do not end with a dot."
)
TITLE_RULE = _("Use one line of at most 255 characters.")
DESCRIPTION_RULE = _("Use at most 64 KiB of plain text, without control characters.")
TAGS_RULE = _("Use up to 32 tags, each one word of at most 50 letters, digits, dots, dashes, colons or underscores.")

GUARDED = gettext_noop(
    "Rights are granted by %(tags)s: only who manages people may take it away from a machine, or add it to one on which"
    " they may do as much themselves."
)

# What the rules above are to readers of the API's description; the validators decide.
_NAME_SCHEMA: dict[str, Any] = {"pattern": "^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9_-])?$"}
_TITLE_SCHEMA: dict[str, Any] = {"maxLength": 255, "pattern": r"^[^\x00-\x08\x0a-\x1f\x7f\ufffe\uffff]*$"}
_TEXT_SCHEMA: dict[str, Any] = {"pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]*$"}
_TAGS_SCHEMA: dict[str, Any] = {"maxItems": 32, "items": {"type": "string", "pattern": r"^\w[\w.:-]{0,49}$"}}

GoodName = Annotated[str, _rule(valid_name, NAME_RULE), Field(json_schema_extra=_NAME_SCHEMA)]
GoodTitle = Annotated[str, _rule(valid_title, TITLE_RULE), Field(json_schema_extra=_TITLE_SCHEMA)]
GoodDescription = Annotated[str, _rule(valid_description, DESCRIPTION_RULE), Field(json_schema_extra=_TEXT_SCHEMA)]
GoodTags = Annotated[tuple[str, ...], _rule(valid_tags, TAGS_RULE), Field(json_schema_extra=_TAGS_SCHEMA)]


class RenameParams(Params):
    """The new name."""

    name: GoodName


class TitleParams(Params):
    """The new title; empty removes it."""

    title: GoodTitle = ""


class DescriptionParams(Params):
    """The new description; empty removes it."""

    description: GoodDescription = ""


class TagsParams(Params):
    """All tags that the guest shall have."""

    tags: GoodTags = ()


class RetagParams(Params):
    """Tags that the guest shall have besides its own, and tags that it shall lose."""

    add: GoodTags = Field(default=(), title=gettext_noop("Add these tags"))
    remove: GoodTags = Field(default=(), title=gettext_noop("Remove these tags"))

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.add and not self.remove:
            raise ValueError(_("Name a tag to add or to remove."))
        if both := set(self.add) & set(self.remove):
            raise ValueError(_("%(tag)s cannot be added and removed at once.") % {"tag": min(both)})
        return self

    def of(self, tags: Iterable[str]) -> tuple[str, ...]:
        """What becomes of these tags."""
        return tuple(dict.fromkeys([*(tag for tag in tags if tag not in self.remove), *self.add]))


class AutostartParams(Params):
    """Whether it starts with its host."""

    enabled: bool


class AutostartManyParams(Params):
    """The same for many, with the usual answer."""

    enabled: bool = Field(default=True, title=gettext_noop("Start with the host"))


def name_taken(host_id: int, name: str) -> Text | None:
    """Why a guest of this host cannot get `name`, or None."""
    if Guest.objects.filter(host_id=host_id, name=name).exists():
        return _("This host has a machine of this name already.")
    return None


def _check_rename(user: User, guest: Guest, params: RenameParams) -> dict[str, list[Text]]:
    if params.name == guest.name:
        return {"name": [_("That is its name already.")]}
    taken = name_taken(guest.host_id, params.name)
    return {"name": [taken]} if taken else {}


def _rename(context: Context) -> None:
    change.rename(context.conn, context.uuid, context.params.name)
    context.ask("guest", context.uuid)


def _set_title(context: Context) -> None:
    change.set_title(context.conn, context.uuid, context.params.title)
    context.ask("guest", context.uuid)


def _set_description(context: Context) -> None:
    change.set_description(context.conn, context.uuid, context.params.description)
    context.ask("guest", context.uuid)


def _check_tags(user: User, guest: Guest, params: TagsParams) -> dict[str, list[Text]]:
    return {"tags": refused} if (refused := _guarded(user, guest, params.tags)) else {}


def _guarded(user: User, guest: Guest, after: Iterable[str]) -> list[Text]:
    """Why this person may not let its tags become these: somebody would gain or lose rights by it."""
    tags = grants.guarded(user, guest.place, after)
    return [gettext(GUARDED) % {"tags": ", ".join(tags)}] if tags else []


def _stay_guarded(context: Context, after: Iterable[str]) -> None:
    """The same once more, against what libvirt says now: the mirror may be behind, and grants may be new."""
    person = context.job.created_by
    if person is None or context.host is None:
        return
    where = Place(context.host.pk, context.uuid, tuple(change.tags_of(context.conn, context.uuid)))
    tags = grants.guarded(person, where, after)
    if tags:
        raise Failed(GUARDED, code="denied", tags=", ".join(tags))


def _set_tags(context: Context) -> None:
    _stay_guarded(context, context.params.tags)
    change.set_tags(context.conn, context.uuid, context.params.tags)
    context.ask("guest", context.uuid)


def _retag(context: Context) -> None:
    tags = change.tags_of(context.conn, context.uuid)
    _stay_guarded(context, context.params.of(tags))
    change.set_tags(context.conn, context.uuid, context.params.of(tags))
    context.ask("guest", context.uuid)


def _check_retag(user: User, guest: Guest, params: RetagParams) -> dict[str, list[Text]]:
    try:
        valid_tags(params.of(guest.tags))
    except ValueError:
        return {"add": [TAGS_RULE]}
    refused = _guarded(user, guest, params.of(guest.tags))
    return {"add" if params.add else "remove": refused} if refused else {}


def _set_autostart(context: Context) -> None:
    change.set_autostart(context.conn, context.uuid, context.params.enabled)
    context.ask("guest", context.uuid)  # libvirt tells nobody of this change


def _where(guest: Guest) -> list[str]:
    """Which of its definitions change: the stored one, and the running one when there is one."""
    stored = ["--config"] if guest.persistent else []
    return stored if guest.state == "shutoff" else [*stored, "--live"]


def _autostart_line(guest: Guest, params: AutostartParams) -> str:
    return virsh("autostart", virsh_word(guest), *([] if params.enabled else ["--disable"]))


def _tags_line(guest: Guest, params: TagsParams) -> str:
    """kvmweb's metadata as it will be; what it says of the job that made the guest stays."""
    root = etree.Element("guest")
    fill(root, tags=params.tags, job=Domain.parse(guest.xml).job if guest.xml else "")
    for element in root.iter():
        element.tag = etree.QName(element).localname  # virsh adds the namespace itself
    etree.cleanup_namespaces(root)
    what = ["--set", to_text(root)] if len(root) else ["--remove"]
    return virsh("metadata", virsh_word(guest), *_where(guest), KVMWEB, "--key", "kvmweb", *what)


def _retag_line(guest: Guest, params: RetagParams) -> str:
    return _tags_line(guest, TagsParams(tags=params.of(guest.tags)))


def _register(
    name: str, label: Text, step: Step, params: type[Params], virsh_line: Any, icon: str, **more: Any
) -> None:
    register(
        Operation(
            name=name,
            label=label,
            permission="guest.change",
            target="guest",
            params=params,
            steps=[step],
            virsh=virsh_line,
            icon=icon,
            **more,
        )
    )


_register(
    "guest.rename",
    _("Rename"),
    Step("rename", _("Change its name"), _rename),
    RenameParams,
    lambda guest, params: virsh("domrename", virsh_word(guest), params.name),
    "pencil",
    refuse=first_of(by_state(NEEDS_OFF), persistent_only, nothing_saved),
    check=_check_rename,
)
_register(
    "guest.title",
    _("Change title"),
    Step("title", _("Change its title"), _set_title),
    TitleParams,
    lambda guest, params: virsh("desc", virsh_word(guest), *_where(guest), "--title", "--new-desc", params.title),
    "file-text",
)
_register(
    "guest.description",
    _("Change description"),
    Step("description", _("Change its description"), _set_description),
    DescriptionParams,
    lambda guest, params: virsh("desc", virsh_word(guest), *_where(guest), "--new-desc", params.description),
    "notebook-pen",
)
_register(
    "guest.tags",
    _("Change tags"),
    Step("tags", _("Change its tags"), _set_tags),
    TagsParams,
    _tags_line,
    "tag",
    check=_check_tags,
)
_register(
    "guest.retag",
    _("Add or remove tags"),
    Step("tags", _("Change its tags"), _retag),
    RetagParams,
    _retag_line,
    "tag",
    check=_check_retag,
    many=Many(),
)
_register(
    "guest.autostart",
    _("Start with the host"),
    Step("autostart", _("Change whether it starts with its host"), _set_autostart),
    AutostartParams,
    _autostart_line,
    "sun",
    refuse=persistent_only,
    many=Many(AutostartManyParams),
)
