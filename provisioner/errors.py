"""The errors of the program: one sentence for the person at the keyboard, and an exit code.

ProvisionerError                    exit 1
├── UsageError                      exit 2: the command line is wrong
│   └── InventoryError              exit 2: the inventory is wrong; one line per problem
├── CloudError                      the cloud said no, or nothing
│   ├── CredentialsError            no credentials, or the cloud does not accept them
│   ├── NoCapacityError             this type cannot be had in this zone: try the next candidate
│   │   └── TypeRefusedError        nor in any other zone: try the next type
│   ├── CloudRefusedError           quota, balance, permission, bad parameter: trying again is no use
│   └── CloudUnavailableError       retried until the deadline without an answer that counts
├── HostError                       one host failed; the others go on
│   ├── ConnectError                could not connect or authenticate
│   │   └── HostKeyError            the host key is unknown or changed
│   ├── CommandError                a command ended non-zero
│   └── CommandTimeoutError         a command outlived its deadline
├── DriftError                      what exists differs from what the inventory asks for
├── DeadlineError                   something waited for did not come in time
├── StateError                      the state folder cannot be used
│   ├── LockedError                 another run holds this deployment
│   └── PlaceGoneError              the simulator that held the deployment is gone for good, and all in it
├── OutputError                     standard output cannot be written
├── PartialFailureError             several hosts failed; carries each failure
└── LeftoverError                   after `down`, something is still there; lists it with ids
InterruptedRun                      exit 130: Ctrl-C
"""

from __future__ import annotations

from collections.abc import Sequence


class ProvisionerError(Exception):
    """What happened, to what, and what to do, in one sentence.

    Args:
        message: what happened and to what.
        remedy: what the person can do about it; printed after the message.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message


class UsageError(ProvisionerError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class InventoryError(UsageError):
    """The inventory is wrong. `problems` holds one `FILE:LINE: FIELD: what` line for each mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class CloudError(ProvisionerError):
    """The cloud refused a call or did not answer it.

    Args:
        code: the error code of the service ("" when there was no reply).
        action: the API action that was called.
        request_id: to quote to the provider's support.
        reason: the part of the message that says why, the same for every call that is refused for it.
    """

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        code: str = "",
        action: str = "",
        request_id: str = "",
        reason: str = "",
    ) -> None:
        super().__init__(message, remedy)
        self.code = code
        self.action = action
        self.request_id = request_id
        self.reason = reason


class CredentialsError(CloudError):
    """No credentials were found, or the cloud does not accept them."""


class NoCapacityError(CloudError):
    """This instance type cannot be had in this zone now; another candidate may be."""


class TypeRefusedError(NoCapacityError):
    """This instance type cannot be had in any zone, for this account or with this image; another type may be."""


class CloudRefusedError(CloudError):
    """Refused for a reason that a retry does not mend."""


class CloudUnavailableError(CloudError):
    """Throttled, failing or silent until the deadline."""


class HostError(ProvisionerError):
    """Something failed on one host; `tail` holds the last lines it printed."""

    def __init__(self, message: str, remedy: str = "", *, host: str = "", tail: Sequence[str] = ()) -> None:
        super().__init__(message, remedy)
        self.host = host
        self.tail = tuple(tail)


class ConnectError(HostError):
    """The host could not be reached, or did not let us in."""


class HostKeyError(ConnectError):
    """The host shows a key that is not the one known for it."""


class CommandError(HostError):
    """A command on a host ended with a status other than 0."""

    def __init__(
        self, message: str, remedy: str = "", *, host: str = "", tail: Sequence[str] = (), status: int = 1
    ) -> None:
        super().__init__(message, remedy, host=host, tail=tail)
        self.status = status


class CommandTimeoutError(HostError):
    """A command on a host did not end before its deadline."""


class DriftError(ProvisionerError):
    """What exists is not what the inventory describes; nothing was changed."""


class DeadlineError(ProvisionerError):
    """What was waited for did not come in time."""


class StateError(ProvisionerError):
    """The state folder is missing, damaged or not writable."""


class LockedError(StateError):
    """Another run of the program is working on this deployment."""


class PlaceGoneError(StateError):
    """The simulator in which a deployment lived is gone for good, and so is all that it held."""


class OutputError(ProvisionerError):
    """Standard output cannot be written, and showing something there was all that was left to do."""


class PartialFailureError(ProvisionerError):
    """At least one host failed; `failures` maps each failed step to its error."""

    def __init__(self, message: str, failures: Sequence[tuple[str, ProvisionerError]], remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.failures = tuple(failures)


class LeftoverError(ProvisionerError):
    """Teardown finished and something is still there."""


class InterruptedRun(ProvisionerError):
    """Ctrl-C, after everything that could be lost was recorded."""

    exit_code = 130
