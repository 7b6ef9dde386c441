"""Whether a peer that has hung up can have had the whole of what was last written to it.

Source: the Linux kernel's `struct tcp_info` (`linux/tcp.h`): bytes sent, sent again and acknowledged. The end of a
connection acknowledges all that came before it, so what is not acknowledged by then came too late to be read.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import Final

TCP_INFO: Final = getattr(socket, "TCP_INFO", 11)
_SIZE: Final = 216
_ACKED: Final = struct.Struct("@Q")
_SENT: Final = struct.Struct("@QQ")
_AT_ACKED: Final = 120
_AT_SENT: Final = 200
_OF_OPENING: Final = 1
"""The opening of a connection is acknowledged as one byte."""


def untaken(descriptor: int) -> bool:
    """Whether some of what was written last was not acknowledged when the peer ended the connection.

    False, too, where the kernel does not tell: then nothing is proved.
    """
    try:
        own = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return False
    with own, contextlib.suppress(OSError):
        told = own.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 256)
        if len(told) >= _SIZE:
            (acked,) = _ACKED.unpack_from(told, _AT_ACKED)
            sent, again = _SENT.unpack_from(told, _AT_SENT)
            return bool(sent - again - (acked - _OF_OPENING) > 0)
    return False
