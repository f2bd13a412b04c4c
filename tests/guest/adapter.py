#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""corpus/v86fs/bridge.py with a will of its own: it begins with a file `news`, and when
somebody makes a file `trigger` it writes something else into it and says so before it
answers."""
import struct

source = open("corpus/v86fs/bridge.py").read()
exec(compile(source.split("\nstream = ")[0], "bridge.py", "exec"))
add(1, b"news", Node(FILE | 0o644, b"old news\n"))

stream = socket.socket(fileno=3).makefile("rwb")


def send(kind, seq, payload):
    head = struct.pack("<IBBHQII", 24 + len(payload), kind, 0, 0, seq, 0, 0)
    stream.write(head + payload)
    stream.flush()


while head := stream.read(24):
    total, kind, _, _, seq, _, _ = struct.unpack_from("<IBBHQII", head)
    payload = stream.read(total - 24)
    if kind == 1:
        send(2, 0, payload[:12] + bytes(4) + payload[16:20] + bytes(12))
    elif kind == 3:
        answer = reply(payload)
        if payload[4] == 0x07 and b"trigger" in payload:
            key = child(1, b"news")
            nodes[key].data[:] = b"new news\n"
            send(5, 0, struct.pack("<IBHQQQ", 31, 0x20, 0, key, 0, 0))
        send(4, seq, answer)
