from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


async def healthy(url: str, seconds: float) -> bool:
    """Ask an engine's `/health` on a connection of its own; true when it answers 200 within so many seconds.

    It says that the process serves HTTP and has its weights loaded. llama.cpp answers it without a slot, so a busy
    engine is a healthy one.
    """
    address = urlsplit(url)
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    return status.split(b" ")[1:2] == [b"200"]
