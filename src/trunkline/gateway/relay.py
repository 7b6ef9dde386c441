from __future__ import annotations

import asyncio
import logging
from typing import Final

from trunkline.dialects.dialect import Answer, AnswerStream, Dialect
from trunkline.dialects.registry import DIALECTS
from trunkline.dialects.translate import refusal_of
from trunkline.errors import Broke, Declined, Garbled, UpstreamFailed, UpstreamFault
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt
from trunkline.estate.unit_prices import Stated
from trunkline.gateway.array import ArrayReply, Taker
from trunkline.gateway.headers import JSON, answer_headers, dropped_header, log_fields, upstream_headers
from trunkline.ids import RequestId
from trunkline.messages import Usage
from trunkline.metering.hold import Hold
from trunkline.metering.records import Status
from trunkline.money import Nano
from trunkline.upstream.attest import attest_body, attest_event
from trunkline.upstream.compose import Letter
from trunkline.upstream.send import OK, told
from trunkline.upstream.stated import read_stated
from trunkline.wire.client import Response
from trunkline.wire.sse import Framer, data_of

log = logging.getLogger("trunkline.gateway")

CLIENT_CLOSED: Final = 499
EVENT_STREAM: Final = b"text/event-stream"
HEARTBEAT: Final = b": heartbeat\n\n"


class Relay:
    """Passes one attempt's answer back to the caller, and settles what it used."""

    __slots__ = ("_attempt", "_bridge", "_dialect", "_dropped", "_hold", "_reply", "_request_id", "reply")

    def __init__(
        self, dialect: Dialect, request_id: RequestId, sent: tuple[Attempt, Letter], hold: Hold, reply: Taker
    ) -> None:
        self._dialect = dialect
        self._request_id = request_id
        self._attempt, letter = sent
        self._bridge = letter.bridge
        self._dropped = letter.dropped
        self._hold = hold
        self._reply = reply
        self.reply: Taker | ArrayReply = reply

    async def relay(self, response: Response) -> None:
        """Relay the whole answer.

        Raises:
            UpstreamFault: it broke before anything was relayed; another attempt may follow unseen.
        """
        if response.status not in OK:
            await self._reject(response)
        elif self._attempt.permitted.asked.stream:
            await self._stream(response)
        else:
            await self._buffer(response)

    async def _buffer(self, response: Response) -> None:
        body = await response.read()
        if self._attempt.endpoint.attested:
            attest_body(self._attempt.endpoint, body)
        if self._attempt.endpoint.price.stated is not None:
            self.note_stated(self._attempt.endpoint.price.stated, body)
        answer, body = self._read(body)
        self._hold.first_byte()
        settled = self._hold.settle(
            status=Status.OK, http_status=response.status, usage=answer.usage, model_served=answer.model
        )
        self._reply.send(response.status, self._headers(self._content_type(response, JSON), settled.cost), body)

    def note_stated(self, stated: Stated, data: bytes) -> None:
        """Keep what the provider says that the answer costs."""
        cost = read_stated(stated, data)
        if cost is not None:
            self._hold.stated = cost

    def _read(self, body: bytes) -> tuple[Answer, bytes]:
        """What metering reads of a whole answer, and the answer in the caller's dialect."""
        if self._bridge is not None:
            return self._bridge.answer(body)
        asked, dialect = self._attempt.permitted.asked, self._dialect
        if asked.suited and dialect.suit is not None:
            body = dialect.suit.add(body)
        return dialect.read_answer(asked, body), body

    def _headers(self, content_type: bytes, cost: Nano | None = None) -> bytes:
        headers = answer_headers(self._request_id, self._attempt, content_type, cost)
        return headers + dropped_header(self._dropped) if self._dropped else headers

    def _content_type(self, response: Response, own: bytes) -> bytes:
        """The upstream's own; `own` where the answer is written anew."""
        return _content_type(response) if self._bridge is None else own

    async def _reject(self, response: Response) -> None:
        status, body = response.status, await response.read()
        self._hold.settle(status=Status.REJECTED, http_status=status, usage=Usage())
        failure = DIALECTS[self._attempt.endpoint.dialect].read_failure(status, body)
        said = told(self._attempt, response, failure)
        log.info("a deployment refused the request", extra={"request_id": self._request_id, **log_fields(said)})
        headers = self._headers(self._content_type(response, JSON)) + upstream_headers(said)
        if self._bridge is not None:
            refusal = refusal_of(failure)
            status, body = refusal.status, self._dialect.refusal_body(refusal)
        self._reply.send(status, headers, body)

    async def _stream(self, response: Response) -> None:
        content_type = _content_type(response)
        if not content_type.startswith(EVENT_STREAM):
            response.close()
            raise Garbled("it answered without a stream", inside=f"content type {content_type!r}")
        follow = self._dialect.follow
        stream = follow(self._attempt.permitted.asked) if self._bridge is None else self._bridge.follow()
        headers = self._headers(self._content_type(response, EVENT_STREAM))
        if not self._attempt.permitted.asked.events:
            headers = self._headers(JSON)
            self.reply = ArrayReply(self._reply)
        events = _Events(stream, headers, self._attempt.endpoint, self)
        self.reply.watch(response.pause, response.resume)
        every = self._attempt.permitted.asked.heartbeat
        beating = None if every is None else asyncio.create_task(self._beat(every))
        try:
            await response.relay(events.feed)
            events.end()
        except UpstreamFault as fault:
            if not self.reply.started:
                raise
            if stream.done:
                self.reply.end()
            else:
                self._break(stream, fault)
        except asyncio.CancelledError:
            self._hold.settle(
                status=Status.LEFT,
                http_status=CLIENT_CLOSED,
                usage=None if self._attempt.endpoint.signals.bills_on else stream.used(complete=False),
                model_served=stream.model,
                error="the client left",
            )
            raise
        else:
            self.settle_whole(stream)
            if not stream.done:
                self.reply.write(stream.end())
            self.reply.end()
        finally:
            if beating is not None:
                beating.cancel()

    async def _beat(self, every: float) -> None:
        """Write a comment now and then, once the stream has begun."""
        while True:
            await asyncio.sleep(every)
            if self.reply.started:
                self.reply.write(HEARTBEAT)

    def begin(self, headers: bytes) -> None:
        """Begin the caller's stream, with the first event that is the caller's."""
        self._hold.first_byte()
        self.reply.start(200, headers)

    def settle_whole(self, stream: AnswerStream) -> None:
        """Settle a stream that has come to its end."""
        usage = stream.used(complete=True)
        self._hold.settle(status=Status.OK, http_status=200, usage=usage, model_served=stream.model)

    def _break(self, stream: AnswerStream, fault: UpstreamFault) -> None:
        self._hold.settle(
            status=Status.BROKEN,
            http_status=200,
            usage=stream.used(complete=False),
            model_served=stream.model,
            error=self._hold.words(fault),
        )
        if not stream.failed:
            deployment = self._attempt.endpoint.deployment
            broken = UpstreamFailed(
                f"The answer broke off: {deployment}: {fault.message}. What came so far is not the whole answer; "
                f"request id {self._request_id}.",
                code="upstream_broke",
            )
            self.reply.write(self._dialect.error_event(broken))
        self.reply.end()


class _Events:
    """Takes the pieces as they come and passes on whole events, each as it was written."""

    __slots__ = ("_early", "_endpoint", "_first", "_framer", "_headers", "_relay", "_reply", "_stream")

    def __init__(self, stream: AnswerStream, headers: bytes, endpoint: Endpoint, relay: Relay) -> None:
        self._stream = stream
        self._endpoint = endpoint
        self._headers = headers
        self._relay = relay
        self._reply = relay.reply
        self._framer = Framer()
        self._early: list[bytes] = []
        self._first = b""

    def feed(self, data: bytes) -> None:
        take = self._stream.take
        events = self._framer.feed(data)
        ours = [told for event in events if (told := take(event))]
        if self._endpoint.price.stated is not None:
            for event in events:
                self._relay.note_stated(self._endpoint.price.stated, data_of(event))
        if not self._first:
            self._first = next(filter(data_of, events), b"")
        if not ours:
            return
        reply = self._reply
        if not reply.started and not (ours := self._begin(ours)):
            return
        if self._stream.done:
            # Before its last event goes out: a caller that hangs up on reading it has had the whole answer.
            self._relay.settle_whole(self._stream)
        reply.write(ours[0] if len(ours) == 1 else b"".join(ours))
        if self._stream.failed:
            raise Broke("it ended the stream with an error")

    def _begin(self, ours: list[bytes]) -> list[bytes]:
        """Begin the answer, and return all that came of it; nothing where it cannot begin yet."""
        ours = self._early = [*self._early, *ours]
        if self._stream.failed:
            raise Declined("it ended the stream with an error", status=200, said=ours[-1].decode(errors="replace"))
        if not any(map(data_of, ours)):
            return []  # Comments are no answer: whoever sends nothing else may still be replaced, unseen.
        if self._endpoint.attested:
            attest_event(self._endpoint, self._first)
        self._relay.begin(self._headers)
        return ours

    def end(self) -> None:
        if self._framer.rest:
            self.feed(b"\n\n")
        if not self._stream.whole:
            raise Broke("the stream ended before the answer did")


def _content_type(response: Response) -> bytes:
    return response.headers.get(b"content-type", JSON)
