"""TLS in front of a server that speaks none, as a proxy or a managed database puts it there."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.conftest import free_port

SSL_REQUEST = bytes.fromhex("0000000804d2162f")  # PostgreSQL's protocol: how a client asks for TLS


@contextmanager
def tls_in_front(port: int, context: ssl.SSLContext, *, postgres: bool = False) -> Iterator[int]:
    """Port on 127.0.0.1 that takes TLS only and passes on to `port`; a PostgreSQL client asks for it first."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if postgres:
                if await reader.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
                    writer.close()
                    return
                writer.write(b"S")
                await writer.start_tls(context)
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    loop, front = asyncio.new_event_loop(), free_port()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    begun = asyncio.start_server(serve, "127.0.0.1", front, ssl=None if postgres else context)
    server = asyncio.run_coroutine_threadsafe(begun, loop).result(60)
    try:
        yield front
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


async def _end(server: asyncio.Server) -> None:
    """Take no more connections, and leave those that there are."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
