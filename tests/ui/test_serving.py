"""The port of the page."""

from __future__ import annotations

import asyncio
import socket

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.ui.serving import open_port


def test_small_answers_are_sent_at_once() -> None:
    async def nodelay() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found: socket.socket = writer.get_extra_info("socket")
            told.set_result(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        port = open_port("127.0.0.1", 0)
        async with await asyncio.start_server(met, sock=port):
            with socket.create_connection(port.getsockname()):
                return await told

    assert asyncio.run(nodelay())


@pytest.mark.parametrize(("port", "reason"), [(99999999, "0-65535"), (-1, "0-65535")])
def test_port_that_cannot_be_is_one_sentence(port: int, reason: str) -> None:
    with pytest.raises(QwenlabError, match=reason) as caught:
        open_port("127.0.0.1", port)
    assert str(port) in caught.value.say("zh")[0]
