"""Every error that Trunkline raises, and what may be said of it to whom.

TrunklineError
├── Unstartable             the exchange cannot start or a command cannot run: said to the operator, exit code 1
│   ├── BadEstate           the declared estate has faults: all of them, each with file, line and column
│   ├── DataFolderBusy      another exchange holds the data folder
│   ├── DataFolderUnusable  not writable, or written by a newer version
│   └── EngineUnusable      weights missing, hash mismatch, engine not installed
├── Refusal                 an answer to a caller: status, stable code, a message that says what to do
│   ├── Malformed           400  not JSON, wrong types, unknown data class
│   ├── Unidentified        401  no valid key
│   ├── NotPermitted        403  policy; names rule and claim
│   ├── Unknown             404  no such model, use case or path; with the nearest names
│   ├── WrongMethod         405
│   ├── Late                408
│   ├── TooLarge            413
│   ├── NotSpoken           414, 417, 431, 501, 505: a head that is no request here
│   ├── RateLimited         429  with Retry-After
│   ├── OverBudget          429  a hard budget is used up: says which, what is left, when it begins anew, whom to ask
│   ├── UpstreamFailed      502  every permitted deployment failed; names the last
│   ├── Unavailable         503  store or overload; with Retry-After
│   └── UpstreamTooSlow     504
├── UpstreamFault           what went wrong with one attempt; mapped to a Refusal once no deployment is left
│   ├── Unreachable         nothing was sent: no address, connection refused, TLS failed
│   ├── Broke               the connection ended before the answer did
│   ├── Garbled             the answer is not what the dialect promises
│   ├── Slow                a time-out; says which of connect, first byte, between, total
│   ├── Declined            the deployment answered with an error of its own
│   │   └── TooLong         the prompt is too long for its model
│   └── Unattested          the answer lacks what the deployment attests with each: an incident
├── NotCarried              a deployment cannot carry something of the request; another may, else 400 names the field
└── JournalFailed           the intent could not be written; the call is refused before it is sent

An error has two messages: `str(error)` is safe to show outside; `inside` is for the log. The request id joins them.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class TrunklineError(Exception):
    """The root. `inside` holds what only the operator may read; it defaults to the outside message."""

    def __init__(self, message: str, *, inside: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.inside = inside if inside is not None else message


class Unstartable(TrunklineError):
    """The exchange cannot start, or a command cannot run, until the operator mends what the message names."""


class BadEstate(Unstartable):
    """The declared estate has faults. `faults` holds a ready line for each, in the order of the file."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        count = len(faults)
        super().__init__(f"the estate has {count} fault{'s' if count != 1 else ''}:\n" + "\n".join(faults))
        self.faults = faults


class DataFolderBusy(Unstartable):
    """Another exchange holds the data folder."""


class DataFolderUnusable(Unstartable):
    """The data folder cannot be written, or a newer version of Trunkline wrote it."""


class EngineUnusable(Unstartable):
    """An embedded engine cannot run: not installed, weights missing, or their hash differs."""


class Told(msgspec.Struct, frozen=True):
    """What an upstream itself said of a call that failed there.

    Attributes:
        status: its HTTP status.
        request_id: its own id of the request; empty where it gave none.
        trouble: what it means, as `dialects.neutral.Trouble` has it.
    """

    deployment: str
    status: int
    request_id: str = ""
    trouble: str = ""


class RateLeft(msgspec.Struct, frozen=True):
    """What a caller has left of a limit, and when it is whole again: seconds from now, and nanoseconds since 1970."""

    limit: int
    left: int
    resets_in: float
    resets_at: int


class RatesLeft(msgspec.Struct, frozen=True):
    """The tightest limits of a caller's own, of requests and of tokens; None where none is declared."""

    requests: RateLeft | None = None
    tokens: RateLeft | None = None


class Refusal(TrunklineError):
    """An answer to a caller. Dialects give it their own shape; `status`, `code` and the message stay.

    Attributes:
        code: stable; programs may rely on it.
        param: the request's field that is at fault, where there is one.
        retry_after: seconds after which a retry makes sense.
        final: a retry of the same request cannot succeed, so official SDKs are told not to try.
        told: by the upstream that answered last, where one did.
        rates: what the caller has left of its limits, where one of them refused it.
    """

    status: int = 500
    default_code: ClassVar[str] = "internal_error"
    final: bool = True
    told: Told | None = None
    rates: RatesLeft | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        inside: str | None = None,
        retry_after: int | None = None,
        final: bool | None = None,
    ) -> None:
        super().__init__(message, inside=inside)
        self.code = code if code is not None else self.default_code
        self.param = param
        self.retry_after = retry_after
        if final is not None:
            self.final = final


class Malformed(Refusal):
    """The request cannot be read: not JSON, wrong types, an unknown data class."""

    status = 400
    default_code = "malformed_request"


class Unidentified(Refusal):
    """No valid key came with the request."""

    status = 401
    default_code = "invalid_api_key"


class NotPermitted(Refusal):
    """Policy leaves no deployment, or the caller is not in the audience."""

    status = 403
    default_code = "not_permitted"


class Unknown(Refusal):
    """No such model, use case or path for this caller."""

    status = 404
    default_code = "model_not_found"


class WrongMethod(Refusal):
    """The path exists, but not with this method."""

    status = 405
    default_code = "method_not_allowed"


class TooLarge(Refusal):
    """The request is larger than the exchange accepts."""

    status = 413
    default_code = "request_too_large"


class Late(Refusal):
    """The request did not arrive in time."""

    status = 408
    default_code = "request_timeout"


class NotSpoken(Refusal):
    """A head that is no request here: too long, or another method, version or expectation; the status says which."""

    default_code = "bad_request"

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message, code=code)
        self.status = status


class RateLimited(Refusal):
    """Too many requests or tokens; `retry_after` says when to come back."""

    status = 429
    default_code = "rate_limit_exceeded"
    final = False


class OverBudget(Refusal):
    """A hard budget has not enough left for the call; a retry cannot succeed before it begins anew."""

    status = 429
    default_code = "insufficient_quota"


class UpstreamFailed(Refusal):
    """Every permitted deployment failed."""

    status = 502
    default_code = "upstream_failed"
    final = False


class Unavailable(Refusal):
    """The exchange cannot take the call at the moment."""

    status = 503
    default_code = "unavailable"
    final = False


class UpstreamTooSlow(Refusal):
    """The last permitted deployment did not answer in time."""

    status = 504
    default_code = "upstream_timeout"
    final = False


class UpstreamFault(TrunklineError):
    """What went wrong with one attempt.

    Attributes:
        sent: whether any byte of the request may have reached the upstream, so that it may bill for it.
        said: what the upstream said, which may repeat the prompt: kept only where content may be.
    """

    def __init__(self, message: str, *, sent: bool = True, inside: str | None = None, said: str = "") -> None:
        super().__init__(message, inside=inside)
        self.sent = sent
        self.said = said


class Unreachable(UpstreamFault):
    """No connection could be made: nothing was sent."""

    def __init__(self, message: str, *, inside: str | None = None) -> None:
        super().__init__(message, sent=False, inside=inside)


class Broke(UpstreamFault):
    """The connection ended before the answer did."""


class Garbled(UpstreamFault):
    """The answer is not what HTTP or the dialect promises."""


class Slow(UpstreamFault):
    """A time-out: to connect (then nothing was sent), to the first byte, between bytes, or in total."""


class Declined(UpstreamFault):
    """The deployment answered with an error of its own: a whole answer, so nothing is billed.

    Attributes:
        status: the upstream's HTTP status.
        retry_after: the seconds after which it wants to be asked again, where it said so.
        told: what it said in its own words; None where it did not get so far.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        retry_after: float | None = None,
        inside: str | None = None,
        said: str = "",
        told: Told | None = None,
    ) -> None:
        super().__init__(message, inside=inside, said=said)
        self.status = status
        self.retry_after = retry_after
        self.told = told


class TooLong(Declined):
    """The prompt is too long for this deployment's model; another one may have more room."""


class Unattested(UpstreamFault):
    """The answer lacks what the deployment attests with each. Nothing of it reached the caller, and it may bill.

    Attributes:
        control: what should have been attested.
    """

    def __init__(self, message: str, *, control: str, inside: str | None = None) -> None:
        super().__init__(message, inside=inside)
        self.control = control


class NotCarried(TrunklineError):
    """A deployment of another dialect cannot carry something of the request: nothing is sent there.

    Attributes:
        fields: of the caller's request, as he names them.
        droppable: whether a use case may have them dropped instead.
    """

    def __init__(self, message: str, *, fields: tuple[str, ...], droppable: bool = False) -> None:
        super().__init__(message)
        self.fields = fields
        self.droppable = droppable


class JournalFailed(TrunklineError):
    """A record could not be appended to the journal."""
