"""Brings webhooks what they are told, beside all calls: signed, and again and again until it is taken.

Messages wait in the store, so that any process of any exchange brings them, one after a crash of another. They are
signed as Standard Webhooks has it (specification of version 1, "Signature scheme": HMAC-SHA256 over id, time and body).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import logging
import random
from itertools import count
from typing import Final
from urllib.parse import urlsplit

import msgspec

from trunkline import __version__
from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.config.environment import Environment, resolve
from trunkline.errors import Unavailable, UpstreamFault
from trunkline.estate.stages import Attempt
from trunkline.estate.webhooks import Webhook
from trunkline.metering.alerts import Alert, AlertStore, Due, Recipients, tell_overrun
from trunkline.metering.records import Settlement
from trunkline.observability.metrics import Metrics
from trunkline.wire.client import Origin, Pool, Times

LOOK_EVERY: Final = 1.0
"""Seconds between two looks whether something is to be brought."""
AT_ONCE: Final = 8
FIRST_WAIT: Final = NANOS_PER_SECOND
LONGEST_WAIT: Final = 3_600 * NANOS_PER_SECOND
GIVEN_UP_AFTER: Final = 3 * 86_400 * NANOS_PER_SECOND
"""Nanoseconds after which a message is tried no more."""
TIMES: Final = Times(connect=5, first_byte=10, between=5, total=15)
MOST_NOTED: Final = 1_000
"""How many messages wait in memory while the store is away; later ones are only counted as incidents."""
SWEEP_EVERY: Final = 3_600
SHORTEST_SECRET: Final = 24
PREFIX: Final = "whsec_"
PORTS: Final = {"http": 80, "https": 443}
TAKEN: Final = range(200, 300)

log = logging.getLogger("trunkline.app")


class Unsent(Exception):
    """A message could not be brought; never leaves this module. The reason repeats neither address nor secret."""


class Post(msgspec.Struct, frozen=True):
    """Where a webhook is, and what its messages are signed with."""

    origin: Origin
    host: str
    target: str
    secret: bytes

    def __repr__(self) -> str:
        return "Post(...)"


class Courier:
    """A process's part in bringing messages.

    Args:
        recipients: the estate's webhooks.
        environment: where their references are looked up, at each message: a secret in a file may change.
        store: where messages wait.
        pool: connections of the courier's own.
        clock: the process's.
        metrics: where it is counted what became of them.
    """

    def __init__(
        self,
        recipients: Recipients,
        environment: Environment,
        store: AlertStore,
        pool: Pool,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.recipients = recipients
        self._environment = environment
        self._store = store
        self._pool = pool
        self._clock = clock
        self._metrics = metrics
        self._noted: list[Alert] = []

    def adopt(self, recipients: Recipients, environment: Environment) -> None:
        """Go on with the webhooks of another estate."""
        self.recipients, self._environment = recipients, environment

    def note_overrun(self, attempt: Attempt, settlement: Settlement) -> None:
        """Have it told soon that an attempt cost more than could be held; does not wait."""
        if self.recipients and len(self._noted) < MOST_NOTED:
            self._noted += tell_overrun(self.recipients, attempt, settlement, self._metrics.currency)

    async def follow(self) -> None:
        """Bring what is due, for ever."""
        for number in count(1):
            with contextlib.suppress(Unavailable):
                await self._put_down()
                while self.recipients and await self._bring():
                    pass
                if self.recipients and number % SWEEP_EVERY == 0:
                    await asyncio.to_thread(self._store.sweep_alerts)
            await asyncio.sleep(LOOK_EVERY)

    async def stop(self) -> None:
        """Leave to others what was noted here, and close the connections."""
        with contextlib.suppress(Unavailable):
            await self._put_down()
        await self._pool.close()

    async def _put_down(self) -> None:
        noted = tuple(self._noted)
        if noted:
            await asyncio.to_thread(self._store.add_alerts, noted)
            del self._noted[: len(noted)]

    async def _bring(self) -> bool:
        """Bring some of what is due; return whether there may be more."""
        due = await asyncio.to_thread(self._store.due_alerts, tuple(self.recipients.of), AT_ONCE)
        await asyncio.gather(*map(self._try, due))
        return len(due) == AT_ONCE

    async def _try(self, due: Due) -> None:
        alert = due.alert
        webhook = self.recipients.of.get(alert.webhook)
        if webhook is None:  # Taken out of the estate meanwhile: should it come back, the message is due again.
            return
        try:
            await self._send(webhook, alert)
        except Unsent as fault:
            await self._fail(due, fault)
            return
        self._metrics.webhook(alert.webhook, "taken")
        await asyncio.to_thread(self._store.end_alert, alert, "taken")

    async def _fail(self, due: Due, fault: Unsent) -> None:
        alert = due.alert
        told = {"webhook": alert.webhook, "message_id": alert.id, "tries": due.tries}
        if self._clock.now() - alert.at > GIVEN_UP_AFTER:
            self._metrics.webhook(alert.webhook, "given_up")
            log.error("a webhook did not take a message, and it is tried no more: %s", fault, extra=told)
            await asyncio.to_thread(self._store.end_alert, alert, "given_up")
            return
        self._metrics.webhook(alert.webhook, "failed")
        log.warning("a webhook did not take a message, it is tried again: %s", fault, extra=told)
        await asyncio.to_thread(self._store.postpone_alert, alert, wait_after(due.tries))

    async def _send(self, webhook: Webhook, alert: Alert) -> None:
        post = await asyncio.to_thread(find_post, webhook, self._environment)
        body = alert.body.encode()
        sent_at = str(self._clock.now() // NANOS_PER_SECOND)
        request = (
            f"POST {post.target} HTTP/1.1\r\nhost: {post.host}\r\nuser-agent: Trunkline/{__version__}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nwebhook-id: {alert.id}\r\n"
            f"webhook-timestamp: {sent_at}\r\nwebhook-signature: {sign(post.secret, alert.id, sent_at, body)}\r\n\r\n"
        )
        try:
            response = await self._pool.send(post.origin, request.encode("ascii") + body, TIMES)
            response.close()  # What it says is nobody's business; a redirect leads nowhere.
        except UpstreamFault as fault:
            raise Unsent(fault.message.replace("the upstream", "the receiver")) from fault
        if response.status not in TAKEN:
            raise Unsent(f"the receiver answered {response.status}")


def sign(secret: bytes, message_id: str, sent_at: str, body: bytes) -> str:
    """Return the signature of a message, as the header `webhook-signature` carries it."""
    signed = b"%b.%b.%b" % (message_id.encode(), sent_at.encode(), body)
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def wait_after(tries: int) -> int:
    """Return the nanoseconds until the next try: twice as long each time, up to an hour, give or take a quarter."""
    wait = min(FIRST_WAIT << min(tries - 1, 20), LONGEST_WAIT)
    return int(wait * random.uniform(0.75, 1.25))  # noqa: S311 - so that many messages do not come at once


def find_post(webhook: Webhook, environment: Environment) -> Post:
    """Look up where a webhook is and what to sign with.

    Raises:
        Unsent: a reference stands for nothing, or for nothing that could be used.
    """
    url, secret = resolve(webhook.url, environment), resolve(webhook.secret, environment)
    if url.value is None or secret.value is None:
        raise Unsent(f"`{'url' if url.value is None else 'secret'}`: {url.why or secret.why}")
    try:
        parts = urlsplit(url.value)
        port = parts.port
    except ValueError:
        raise Unsent("`url` stands for no URL") from None
    if parts.scheme not in PORTS or not parts.hostname or parts.username is not None:
        raise Unsent("`url` stands for no http or https URL with a host and without a user name")
    if not url.value.isascii() or not url.value.isprintable() or " " in url.value:
        raise Unsent("`url` holds characters that cannot stand in a URL")
    origin = Origin(parts.hostname, PORTS[parts.scheme] if port is None else port, parts.scheme == "https")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Post(origin, parts.netloc, target, _key(secret.value))


def _key(secret: str) -> bytes:
    if secret.startswith(PREFIX):
        with contextlib.suppress(binascii.Error):
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
            if len(key) >= SHORTEST_SECRET:
                return key
        raise Unsent(f"`secret` wants base64 of {SHORTEST_SECRET} bytes or more after `{PREFIX}`")
    if len(secret) < SHORTEST_SECRET:
        raise Unsent(f"`secret` is shorter than {SHORTEST_SECRET} characters")
    return secret.encode()
