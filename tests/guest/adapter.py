#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""corpus/v86fs/bridge.py with a will of its own: it begins with a file `news`, and when
somebody makes a file `trigger` it writes something else into it and says so before it
answers."""
import socket, sys
from struct import pack, unpack_from

sys.path.insert(0, "corpus/v86fs")
import wire

wire.run = lambda serve: None  # here it is we who answer
exec(compile(open("corpus/v86fs/bridge.py").read(), "bridge.py", "exec"))
add(1, b"news", Node(FILE | 0o644, b"old news\n"))

stream = wire.hello(socket.socket(fileno=3))


def send(kind, seq, payload):
    stream.write(pack("<IBBHQII", 24 + len(payload), kind, 0, 0, seq, 0, 0) + payload)


while record := stream.read():
    kind, seq = record[4], unpack_from("<Q", record, 8)[0]
    if kind != 3:
        continue
    answer = wire.reply(serve, record[24:])
    if record[28] == 0x07 and b"trigger" in record:
        key = nodes[1].names[b"news"]
        nodes[key].data[:] = b"new news\n"
        send(5, 0, pack("<IBHQQQ", 31, 0x20, 0, key, 0, 0))
    send(4, seq, answer)
