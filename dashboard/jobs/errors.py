"""What can be wrong with a wish (raised by `service`) and with a running job (raised by steps and by `context`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, override

from dashboard.accounts.permissions import PERMISSIONS

if TYPE_CHECKING:
    from dashboard.inventory.models import Host
    from dashboard.jobs.models import Job
    from dashboard.jobs.operation import Text


NEEDS = gettext_noop("You may not do this. It needs the permission “%(permission_text)s” here.")


class SubmitError(Exception):
    """A wish that did not become a job. `reason` is one sentence for the person."""

    def __init__(self, reason: Text, **more: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.more = more
        """What the answer says beside the sentence."""


class Denied(SubmitError):
    """The person lacks the operation's permission on the object."""

    def __init__(self, permission: str) -> None:
        super().__init__(_(NEEDS) % {"permission_text": PERMISSIONS.get(permission, permission)})
        self.permission = permission

    def kept(self) -> tuple[str, dict[str, str]]:
        """The sentence as a job keeps it: the key of its translation, and its values."""
        with override(None):
            return NEEDS, {"permission_text": str(PERMISSIONS.get(self.permission, self.permission))}


class Refused(SubmitError):
    """It does not fit the object's state; the reason says why."""


class Invalid(SubmitError):
    """The parameters cannot be used: `errors` by field ("" for what belongs to none)."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(_("Please correct what is marked."))
        self.errors = errors


class Locked(SubmitError):
    """Another active job holds the object: `job`."""

    def __init__(self, job: Job) -> None:
        super().__init__(_("Another job is working on this already."))
        self.job = job


class HostNotLive(SubmitError):
    """The host does not answer now, so nothing can be changed on it."""

    def __init__(self, host: Host) -> None:
        super().__init__(_("The host does not answer at present. Try again when it is back."))
        self.host = host


class NotCancellable(SubmitError):
    """The job is over, or it is of a kind that cannot stop half-way."""

    def __init__(self) -> None:
        super().__init__(_("This job can no longer be cancelled."))


class Failed(Exception):
    """For steps: ends the job with a plain sentence; `values` fill its %(name)s places after translation."""

    def __init__(self, text: Text, *, code: str = "failed", detail: str = "", **values: Any) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.detail = detail
        self.values = values


class Interrupt(BaseException):
    """Base of what stops a step from outside; a BaseException, so that no `except Exception` swallows it."""


class Cancelled(Interrupt):
    """The person cancelled: what was done is undone."""


class Fenced(Interrupt):
    """Another worker owns the job now: this one does nothing more with it."""


class HandOver(Interrupt):
    """This worker is to stop: the job is given to the next one, which resumes at the recorded step."""
