"""The load generator: a process of its own that posts requests over kept connections, one in flight on each.

Reads one JSON object from standard input, prints one. Plain sockets and epoll: it must cost less than what it measures.
"""

import json
import select
import socket
import sys
import time
from typing import Any


def closed_loop(job: dict[str, Any]) -> dict[str, Any]:
    """As fast as the server answers, until ``count`` requests are answered or ``seconds`` are over."""
    poll = select.epoll()
    sockets = _connect(poll, job)
    number, answered, refused = job["first"], 0, 0
    count, deadline = job["count"], time.perf_counter() + job["seconds"]
    head, tail = _parts(job)
    started = time.perf_counter()
    for opened in sockets.values():
        opened.send(_request(head, tail, number))
        number += 1
    open_count = len(sockets)
    expect = job["expect"].encode()
    halves: dict[int, bytes] = {}
    while open_count:
        for descriptor, _ in poll.poll():
            reply = _whole(sockets[descriptor], descriptor, halves)
            if reply is None:
                continue
            if not reply.startswith(expect):
                refused += 1
            answered += 1
            if number - job["first"] < count and time.perf_counter() < deadline:
                sockets[descriptor].send(_request(head, tail, number))
                number += 1
            else:
                poll.unregister(descriptor)
                open_count -= 1
    seconds = time.perf_counter() - started
    return {
        "answered": answered,
        "refused": refused,
        "seconds": seconds,
        "next": number,
        "started_ns": _now_ns() - int(seconds * 1e9),
    }


def paced(job: dict[str, Any]) -> dict[str, Any]:
    """At ``per_second``, whatever the server does: a late answer does not slow the next request down."""
    poll = select.epoll()
    sockets = _connect(poll, job)
    free = list(sockets)
    number, answered, refused, late = job["first"], 0, 0, 0
    head, tail = _parts(job)
    gap = 1 / job["per_second"]
    started = time.perf_counter()
    due, end = started, started + job["seconds"]
    expect = job["expect"].encode()
    halves: dict[int, bytes] = {}
    busy = 0
    while True:
        now = time.perf_counter()
        while due <= now and due < end:
            if not free:
                late += 1
                break
            sockets[free.pop()].send(_request(head, tail, number))
            busy += 1
            number += 1
            due += gap
        if due >= end and not busy:
            break
        for descriptor, _ in poll.poll(max(0.0, min(due - time.perf_counter(), 0.05)) if free else 0.05):
            reply = _whole(sockets[descriptor], descriptor, halves)
            if reply is None:
                continue
            if not reply.startswith(expect):
                refused += 1
            answered += 1
            busy -= 1
            free.append(descriptor)
    return {
        "answered": answered,
        "refused": refused,
        "seconds": time.perf_counter() - started,
        "next": number,
        "late": late,
    }


def _whole(opened: socket.socket, descriptor: int, halves: dict[int, bytes]) -> bytes | None:
    """The answer once all of it is there: head and body may come apart."""
    piece = opened.recv(65536)
    if not piece:
        raise SystemExit("the server closed a connection")
    reply = halves.pop(descriptor, b"") + piece
    end = reply.find(b"\r\n\r\n")
    if end > 0:
        at = reply.lower().find(b"content-length:")
        if len(reply) >= end + 4 + int(reply[at + 15 : reply.index(b"\r\n", at)]):
            return reply
    halves[descriptor] = reply
    return None


def _connect(poll: "select.epoll", job: dict[str, Any]) -> dict[int, socket.socket]:
    sockets = {}
    for _ in range(job["connections"]):
        opened = socket.create_connection(("127.0.0.1", job["port"]))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(opened.fileno(), select.EPOLLIN)
        sockets[opened.fileno()] = opened
    return sockets


def _parts(job: dict[str, Any]) -> tuple[str, str]:
    head = f"POST {job['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    if job.get("basic"):
        head += f"Authorization: Basic {job['basic']}\r\n"
    elif job.get("key"):
        head += f"Authorization: Bearer {job['key']}\r\n"
    # %M: one of so many members, in no order, the same for the same number.
    members = job.get("members", 0)
    return head, str(job["body"]).replace("%M", f"%M{members}%") if members else str(job["body"])


def _request(head: str, body: str, number: int) -> bytes:
    # %N the number, %C one of 10,000 contacts, %T when it left: the sink measures from there.
    text = body.replace("%N", str(number)).replace("%C", f"{number % 10_000:05d}").replace("%T", str(_now_ns()))
    if "%M" in text:
        before, _, rest = text.partition("%M")
        members, _, after = rest.partition("%")
        text = f"{before}{number * 2_654_435_761 % int(members)}{after}"
    return f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def _now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)  # the same clock in every process of a machine


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(paced(asked) if asked.get("per_second") else closed_loop(asked)))
