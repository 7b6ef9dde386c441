"""HTTP/1.1 at both ends on asyncio Protocols, and SSE framing: the only room that touches sockets, ignorant of AI."""
