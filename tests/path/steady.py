"""Callers that keep their connections and ask without a pause, and what became of each request."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any, Self

from tests.path.raw import HELLO


class Steady:
    """Load for as long as the block lasts. A failed request is one that was sent and not answered with 200, whole.

    A connection that the exchange closed after an announced last answer is made anew, as any HTTP client does. `tell`
    wakes whoever waits in `reach` for a number of answers.
    """

    def __init__(self, port: int, key: str, callers: int = 4, *, stream: bool = False, **more: Any) -> None:
        self.answered: list[str] = []
        self.failed: list[str] = []
        self._port = port
        self._key = key
        self._stream = stream
        self._more = more
        self._name = f"steady-{id(self):x}"
        self._news = threading.Condition()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(callers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(60)

    def reach(self, more: int, seconds: float = 30.0) -> None:
        """Wait until so many more requests were answered or failed."""
        with self._news:
            wanted = len(self.answered) + len(self.failed) + more
            assert self._news.wait_for(lambda: len(self.answered) + len(self.failed) >= wanted, seconds), self.failed

    def _call(self, caller: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        number = 0
        while not self._ending.is_set():
            customer = f"{self._name}-{caller}-{number}"
            number += 1
            fault = self._ask(connection, customer)
            with self._news:
                (self.failed if fault else self.answered).append(f"{customer}: {fault}" if fault else customer)
                self._news.notify_all()
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, customer: str) -> str:
        body = json.dumps(HELLO | {"user": customer, "stream": self._stream} | self._more)
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        try:
            connection.request("POST", "/v1/chat/completions", body, headers)
            with connection.getresponse() as answer:
                got = answer.read()
        except (OSError, http.client.HTTPException) as fault:
            connection.close()
            return f"{type(fault).__name__}: {fault}"
        if answer.status != 200:
            return f"{answer.status} {got.decode()[:300]}"
        if self._stream and (b'"error"' in got or b"[DONE]" not in got):
            return f"broken: {got.decode()[-300:]}"
        return ""
