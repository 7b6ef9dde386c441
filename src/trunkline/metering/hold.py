from __future__ import annotations

from asyncio import CancelledError
from types import TracebackType
from typing import Self

from trunkline import errors
from trunkline.estate.stages import Attempt
from trunkline.ids import RequestId
from trunkline.messages import Usage
from trunkline.metering import price_call
from trunkline.metering.book import Book
from trunkline.metering.bound import limited, plausible
from trunkline.metering.purses import Pledge
from trunkline.metering.records import Intent, Settlement, Status
from trunkline.money import Nano

NOTHING = Usage()
LONGEST_TEXT = 1_000


def reserve(book: Book, attempt: Attempt, request: RequestId, pledge: Pledge | None = None) -> Hold:
    """Hold the most an attempt can cost, and write its intent: only then may anything be sent.

    Args:
        book: where it is written.
        attempt: what is about to be sent, with its bound and its hold.
        request: the call's id.
        pledge: what it holds in the budgets above it; None where there are none.

    Raises:
        errors.JournalFailed: the intent could not be written. Nothing is held; send nothing.
    """
    permitted, endpoint = attempt.permitted, attempt.endpoint
    caller, asked, decision = permitted.caller, permitted.asked, permitted.decision
    intent = Intent(
        book.journal.next_sequence(),
        request,
        attempt.number,
        book.clock.now(),
        caller.key,
        caller.unit,
        caller.cost_centre,
        decision.use_case,
        None if asked.end_customer is None else writable(asked.end_customer),
        endpoint.deployment,
        endpoint.boundary,
        endpoint.pattern,
        asked.operation,
        asked.model,
        endpoint.upstream_model,
        asked.stream,
        decision.data_class,
        _in_short(attempt),
        endpoint.price.version,
        book.currency,
        attempt.hold,
        attempt.bound,
        () if pledge is None else pledge.leases,
        decision.trial,
        caller.person,
    )
    try:
        book.journal.append(intent, None if pledge is None else pledge.journal)
    except errors.JournalFailed:
        if pledge is not None:
            pledge.settle(0)
        raise
    return Hold(book, attempt, intent, pledge)


class Hold:
    """An attempt that is held: settles exactly once, on every way out of its `with` block.

    Leaving without `settle` books the outcome that the exception tells. What may have been billed and is not known
    counts at the hold, marked estimated; what was provably not billed (nothing was sent, or the upstream declined)
    counts nothing. `stated` is what the provider itself says that it bills: it goes before the price of the tokens.
    """

    __slots__ = ("_attempt", "_book", "_first_byte", "_intent", "_pledge", "_started", "settlement", "stated")

    def __init__(self, book: Book, attempt: Attempt, intent: Intent, pledge: Pledge | None = None) -> None:
        self._book = book
        self._pledge = pledge
        self._attempt = attempt
        self._intent = intent
        self._started = book.clock.ticks()
        self._first_byte: int | None = None
        self.settlement: Settlement | None = None
        self.stated: Nano | None = None
        book.held[intent.sequence] = attempt

    @property
    def intent(self) -> Intent:
        """What was written before the send."""
        return self._intent

    @property
    def went_well(self) -> bool:
        """Whether it has ended with a whole answer."""
        return self.settlement is not None and self.settlement.status is Status.OK

    def first_byte(self) -> None:
        """Note that the answer began. Only the first call counts."""
        if self._first_byte is None:
            self._first_byte = self._book.clock.ticks() - self._started
            if self._book.began is not None:
                self._book.began(self._attempt, self._first_byte)

    def settle(
        self,
        *,
        status: Status,
        http_status: int = 0,
        usage: Usage | None,
        model_served: str = "",
        error: str = "",
    ) -> Settlement:
        """Settle the attempt; later calls change nothing and return what was settled.

        It is in the journal before anything that is written after this call leaves for the caller. A settlement that
        the disk does not take is kept in memory and written later: the answer is not held up.

        Args:
            status: how it ended.
            http_status: the upstream's; 0 where there was none.
            usage: the tokens to pay for; None when they are not known: then the hold is charged.
            model_served: the model that the upstream says answered.
            error: what went wrong, for the log.
        """
        if self.settlement is not None:
            return self.settlement
        intent, book = self._intent, self._book
        if usage is None:
            usage, cost = intent.bound, intent.hold
        else:
            usage = plausible(usage)
            stated = self.stated
            priced = price_call.cost(usage, self._attempt.endpoint.price, intent.at) if stated is None else stated
            cost = limited(priced)
        settlement = Settlement(
            book.journal.next_sequence(),
            intent.request,
            intent.attempt,
            book.clock.now(),
            status,
            http_status,
            usage,
            cost,
            writable(model_served),
            self._first_byte,
            book.clock.ticks() - self._started,
            writable(error),
        )
        self.settlement = settlement
        del book.held[intent.sequence]
        try:
            book.journal.gather(settlement)
        except errors.JournalFailed:
            book.journal.owe(settlement)
        if self._pledge is not None:
            self._pledge.settle(cost)
        if book.settled is not None:
            book.settled(self._attempt, settlement)
        return settlement

    def fail(self, fault: errors.UpstreamFault) -> Settlement:
        """Settle the attempt as failed, or broken once its answer began.

        Nothing is charged where nothing was sent or the upstream declined; else it may bill, and the hold is charged.
        """
        status = Status.FAILED if self._first_byte is None else Status.BROKEN
        http_status = fault.status if isinstance(fault, errors.Declined) else 0
        billed = fault.sent and not isinstance(fault, errors.Declined)
        usage = None if billed else NOTHING
        return self.settle(status=status, http_status=http_status, usage=usage, error=self.words(fault))

    def words(self, fault: errors.UpstreamFault) -> str:
        """Return what the ledger may keep of a fault: what the upstream said only where content may be kept."""
        quoted = fault.said and self._attempt.permitted.decision.may_keep("journal", "ledger")
        return f"{fault.inside}: {fault.said}" if quoted else fault.inside

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.settlement is None:
            self._settle_unsaid(fault)

    def _settle_unsaid(self, fault: BaseException | None) -> None:
        if isinstance(fault, CancelledError | GeneratorExit):
            self.settle(status=Status.LEFT, usage=None, error="the client left, or the exchange was stopped")
            return
        if isinstance(fault, errors.UpstreamFault):
            self.fail(fault)
            return
        status = Status.FAILED if self._first_byte is None else Status.BROKEN
        reason = "the attempt ended without a settlement" if fault is None else f"{type(fault).__name__}: {fault}"
        self.settle(status=status, usage=None, error=reason)


def writable(text: str) -> str:
    """Return text that every store takes: valid Unicode, no zero characters, not endless."""
    if not text or (text.isascii() and "\0" not in text and len(text) <= LONGEST_TEXT):
        return text
    return text[:LONGEST_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _in_short(attempt: Attempt) -> str:
    permitted = attempt.permitted
    decision = permitted.decision
    asked = ", as the caller asked" if permitted.asked.data_class == decision.data_class else ""
    note = f"; {permitted.note}" if permitted.note else ""
    for rewrite in permitted.rewrites:
        if rewrite.holds_at(attempt.endpoint.deployment):
            note += f"; {rewrite}"
    return f"{decision.named}{asked}: {decision.counted}{note}; {attempt.reason}"
