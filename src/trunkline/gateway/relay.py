from __future__ import annotations

import asyncio
from typing import Final

from trunkline.dialects.registry import AnswerStream, Dialect
from trunkline.errors import Broke, Declined, Garbled, UpstreamFailed, UpstreamFault
from trunkline.estate.stages import Attempt, Endpoint
from trunkline.gateway.headers import JSON, answer_headers
from trunkline.ids import RequestId
from trunkline.messages import Usage
from trunkline.metering.hold import Hold
from trunkline.metering.records import Status
from trunkline.upstream.attest import attest_body, attest_event
from trunkline.upstream.send import OK
from trunkline.wire.client import Response
from trunkline.wire.server import Reply
from trunkline.wire.sse import Framer

CLIENT_CLOSED: Final = 499
EVENT_STREAM: Final = b"text/event-stream"


class Relay:
    """Passes one attempt's answer back to the caller, and settles what it used."""

    __slots__ = ("_attempt", "_dialect", "_hold", "_request_id", "reply")

    def __init__(self, dialect: Dialect, request_id: RequestId, attempt: Attempt, hold: Hold, reply: Reply) -> None:
        self._dialect = dialect
        self._request_id = request_id
        self._attempt = attempt
        self._hold = hold
        self.reply = reply

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
        self._hold.first_byte()
        answer = self._dialect.read_answer(self._attempt.permitted.asked, body)
        settled = self._hold.settle(
            status=Status.OK, http_status=response.status, usage=answer.usage, model_served=answer.model
        )
        headers = answer_headers(self._request_id, self._attempt, _content_type(response), settled.cost)
        self.reply.send(response.status, headers, body)

    async def _reject(self, response: Response) -> None:
        body = await response.read()
        self._hold.settle(status=Status.REJECTED, http_status=response.status, usage=Usage())
        headers = answer_headers(self._request_id, self._attempt, _content_type(response))
        self.reply.send(response.status, headers, body)

    async def _stream(self, response: Response) -> None:
        content_type = _content_type(response)
        if not content_type.startswith(EVENT_STREAM):
            response.close()
            raise Garbled("it answered without a stream", inside=f"content type {content_type!r}")
        stream = self._dialect.follow(self._attempt.permitted.asked)
        headers = answer_headers(self._request_id, self._attempt, content_type)
        events = _Events(stream, headers, self._attempt.endpoint, self)
        self.reply.watch(response.pause, response.resume)
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
                usage=stream.used(complete=False),
                model_served=stream.model,
                error="the client left",
            )
            raise
        else:
            self.settle_whole(stream)
            if not stream.done:
                self.reply.write(self._dialect.end_event)
            self.reply.end()

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

    __slots__ = ("_endpoint", "_framer", "_headers", "_relay", "_reply", "_stream")

    def __init__(self, stream: AnswerStream, headers: bytes, endpoint: Endpoint, relay: Relay) -> None:
        self._stream = stream
        self._endpoint = endpoint
        self._headers = headers
        self._relay = relay
        self._reply = relay.reply
        self._framer = Framer()

    def feed(self, data: bytes) -> None:
        take = self._stream.take
        ours = [event for event in self._framer.feed(data) if take(event)]
        if not ours:
            return
        if not self._reply.started:
            if self._stream.failed:
                raise Declined("it ended the stream with an error", status=200, said=ours[-1].decode(errors="replace"))
            if self._endpoint.attested:
                attest_event(self._endpoint, ours[0])
            self._relay.begin(self._headers)
        if self._stream.done:
            # Before its last event goes out: a caller that hangs up on reading it has had the whole answer.
            self._relay.settle_whole(self._stream)
        self._reply.write(ours[0] if len(ours) == 1 else b"".join(ours))

    def end(self) -> None:
        if self._framer.rest:
            self.feed(b"\n\n")
        if not self._stream.whole:
            raise Broke("the stream ended before the answer did")


def _content_type(response: Response) -> bytes:
    return response.headers.get(b"content-type", JSON)
