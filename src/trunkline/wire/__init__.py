"""HTTP/1.1 at both ends on asyncio Protocols, and SSE framing. The only room that touches sockets; knows nothing of AI."""
