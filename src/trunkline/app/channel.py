"""The line between the exchange's first process and one of its workers: questions, answers and news, both ways."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import struct
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from trunkline.errors import TrunklineError

log = logging.getLogger("trunkline.app")

_LENGTH = struct.Struct("!I")
T = TypeVar("T")
Incoming_contra = TypeVar("Incoming_contra", contravariant=True)


class ChannelFault(TrunklineError):
    """The other end is gone, did not answer in time, or failed at the question."""


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One message. `number` joins an answer to its question and is 0 for news; `fault` says why there is no answer."""

    number: int
    answer: bool
    body: msgspec.Raw
    fault: str = ""


class Listener(Protocol[Incoming_contra]):
    """Takes what the other end says."""

    def hear(self, news: Incoming_contra) -> None:
        """Take news, in the order they were told."""
        ...

    async def answer(self, question: Incoming_contra) -> object:
        """Answer a question."""
        ...


Incoming = TypeVar("Incoming")


class Channel(Generic[Incoming]):
    """One end. Messages are tagged structs; paths go as text.

    Attributes:
        ended: set when the other end is gone.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, incoming: Any) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = msgspec.msgpack.Decoder(incoming, dec_hook=_from_text)
        self._frames = msgspec.msgpack.Decoder(Frame)
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_as_text)
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()

    @classmethod
    async def over(cls, end: socket.socket, incoming: Any) -> Channel[Incoming]:
        """Speak over one end of a socket pair; `incoming` is the type of what may come."""
        reader, writer = await asyncio.open_unix_connection(sock=end)
        return cls(reader, writer, incoming)

    async def receive(self) -> Incoming | None:
        """Return the next news; only before `listen`. None when the other end is gone."""
        frame = await self._next()
        if frame is None:
            self.ended.set()
            return None
        received: Incoming = self._decoder.decode(frame.body)
        return received

    async def listen(self, listener: Listener[Incoming]) -> None:
        """Pass on all that comes until the other end is gone."""
        try:
            while (frame := await self._next()) is not None:
                self._take(frame, listener)
        finally:
            self.ended.set()
            for waiting in self._open.values():
                if not waiting.done():
                    waiting.set_exception(ChannelFault("the other end is gone"))
            for task in self._tasks:
                task.cancel()
            self._writer.close()

    async def close(self) -> None:
        """Close this end once all that was told is on its way."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    def tell(self, news: object) -> None:
        """Tell news; nothing happens when the other end is gone."""
        self._write(Frame(0, answer=False, body=self._encode(news)))

    async def ask(self, question: object, kind: type[T], within: float) -> T:
        """Ask, and return the answer.

        Raises:
            ChannelFault: there is none within so many seconds.
        """
        if self.ended.is_set():
            raise ChannelFault("the other end is gone")
        number = next(self._numbers)
        waiting = self._open[number] = asyncio.get_running_loop().create_future()
        try:
            self._write(Frame(number, answer=False, body=self._encode(question)))
            raw = await asyncio.wait_for(waiting, within)
        except TimeoutError:
            raise ChannelFault(f"no answer within {within:g} s") from None
        finally:
            del self._open[number]
        return msgspec.msgpack.decode(raw, type=kind, dec_hook=_from_text)

    async def _next(self) -> Frame | None:
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return self._frames.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError):
            return None

    def _take(self, frame: Frame, listener: Listener[Incoming]) -> None:
        if frame.answer:
            waiting = self._open.get(frame.number)
            if waiting is None or waiting.done():
                return
            if frame.fault:
                waiting.set_exception(ChannelFault(frame.fault))
            else:
                waiting.set_result(frame.body)
        elif frame.number == 0:
            listener.hear(self._decoder.decode(frame.body))
        else:
            task = asyncio.create_task(self._reply(frame.number, listener.answer(self._decoder.decode(frame.body))))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reply(self, number: int, answering: Awaitable[object]) -> None:
        fault = ""
        answer: object = None
        try:
            answer = await answering
        except Exception as failed:  # the border: the other end must not wait for an answer that never comes
            log.exception("a question of another process could not be answered")
            fault = f"{type(failed).__name__}: {failed}"
        self._write(Frame(number, answer=True, body=self._encode(answer), fault=fault))

    def _encode(self, message: object) -> msgspec.Raw:
        return msgspec.Raw(self._encoder.encode(message))

    def _write(self, frame: Frame) -> None:
        if not self.ended.is_set() and not self._writer.is_closing():
            data = self._encoder.encode(frame)
            self._writer.write(_LENGTH.pack(len(data)) + data)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends; neither is inherited unless it is handed over."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def _as_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} cannot be sent")


def _from_text(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(f"{kind.__name__} cannot be received")
