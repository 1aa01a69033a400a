"""Clients that close or reset their connection, in every state: no error is logged, others are served."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable

import pytest
from served import LocalServer
from waiting import PATIENCE_S, until

ONE = {"model": "tiny_e5:query", "input": "moon"}
# An answer of 1,500 vectors is larger than what a socket's buffers hold.
MANY = {"model": "tiny_e5:query", "input": [f"moon river {number}" for number in range(1500)]}
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


def post(values: object) -> bytes:
    body = json.dumps(values).encode()
    return b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


# What a client has sent when it leaves, and whether it waits for the first byte of an answer.
LEAVING = {
    "nothing sent": (b"", False),
    "half a header": (GET[:20], False),
    "a header without its body": (post(ONE).partition(b"\r\n\r\n")[0] + b"\r\n\r\n", False),
    "half a body": (post(MANY)[:-20], False),
    "a request, not waited for": (post(ONE), False),
    "many texts, not waited for": (post(MANY), False),
    "an answer of which a byte is read": (post(MANY), True),
    "an idle connection": (GET, True),
    "the next request begun": (GET + post(ONE)[:40], True),
}


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("leaving", LEAVING)
def test_a_client_that_leaves_is_no_error(
    leaving: str, reset: bool, start_server: Callable[..., LocalServer]
) -> None:
    sent, waits = LEAVING[leaving]
    server = start_server("--threads", "1", "--log-level", "info")
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as client:
            client.sendall(sent)
            if waits:
                assert client.recv(1)
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    answer = server.post("/v1/embeddings", ONE)
    assert len(answer.values["data"]) == 1
    assert server.stop() == 0
    until(lambda: any(record["message"] == "stopped" for record in server.records))
    assert [record for record in server.records if record["level"] not in {"info", "debug"}] == []
    assert server.other_output == []
