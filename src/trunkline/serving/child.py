"""The program of an engine's process: llama.cpp's own server on a loopback port, for as long as the exchange lives.

Run as `python -m trunkline.serving.child`. Standard input brings one line of JSON (`Orders`), then nothing more: its
end means that the exchange is gone. Standard output gives one line, `READY <url>` or `FAILED <reason>`. Standard
error is llama.cpp's log. Imports stay few: every restart waits for them.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
from typing import Any, Literal, NoReturn

import msgspec

READY = "READY "
FAILED = "FAILED "
_LOG_WARNINGS = 2
_MICRO_BATCH = 512  # llama.cpp's default, in tokens


class Orders(msgspec.Struct, frozen=True):
    """What the child is to serve. `context` is that of one slot, in tokens; `alias` is the model's name in answers."""

    weights: str
    kind: Literal["chat", "embeddings"]
    alias: str
    slots: int
    context: int
    threads: int
    key: str


def serve() -> NoReturn:
    """Load the weights, serve, and end with the exchange."""
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        sys.exit(0)  # the exchange went before it had given its orders
    _end_with_the_exchange()
    orders = msgspec.json.decode(line, type=Orders)
    answers = _keep_stdout_clean()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the exchange's to hear: it lets running calls finish
    try:
        import xllamacpp  # noqa: PLC0415  # comes with the extra
    except ImportError as fault:
        _say(answers, f"{FAILED}the engine cannot be loaded ({fault}); run `pip install 'trunkline[engine]'`")
        os._exit(3)
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, orders))
    except RuntimeError as fault:
        _say(answers, f"{FAILED}llama.cpp does not load {orders.weights}: {fault}")
        os._exit(3)
    _say(answers, f"{READY}{server.listening_address}")
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # no farewell to calls whose asker is gone; the kernel takes back memory faster than destructors


def _end_with_the_exchange() -> None:
    """Let the kernel end this process when the other end of standard input closes.

    Loading holds the interpreter's lock for as long as the disk takes, so a thread that waits for the end of the file
    would not run; SIGIO needs no lock, and ends a process that does not handle it. A parent-death signal would follow
    the thread that started this process, not the exchange.
    """
    if sys.platform == "linux":
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    if poll.poll(0):  # it closed before the kernel was asked to tell
        os._exit(0)


def _keep_stdout_clean() -> int:
    """Return a descriptor of standard output that nothing else has; what a library prints goes to the log."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _say(answers: int, line: str) -> None:
    os.write(answers, line.replace("\n", " ").encode() + b"\n")


def _parameters(xllamacpp: Any, orders: Orders) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = orders.weights
    parameters.model_alias = {orders.alias}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [orders.key]
    parameters.n_parallel = orders.slots
    parameters.n_ctx = orders.slots * orders.context  # llama.cpp shares it among the slots
    parameters.cpuparams.n_threads = orders.threads
    parameters.verbosity = _LOG_WARNINGS
    parameters.use_jinja = parameters.offline = True
    parameters.ui = parameters.warmup = False
    parameters.endpoint_slots = parameters.endpoint_props = parameters.endpoint_metrics = False  # slots show prompts
    parameters.cache_ram_mib = 0  # the default keeps up to 8 GiB of old prompts
    if orders.kind == "embeddings":
        parameters.embedding = True
        # A text is encoded in one piece; a batch that is smaller refuses it.
        parameters.n_batch = parameters.n_ubatch = max(orders.context, _MICRO_BATCH)
    return parameters


if __name__ == "__main__":
    serve()
