#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""client.py SOCKET TEXT [FOLDER]: a client of the file server, always the same requests;
TEXT is what it writes.  With a FOLDER it waits for a notification in between, which says
that the file f in FOLDER has changed, and changes it if it is there."""
import os, socket, struct, sys, time


def connect(path):
    for _ in range(500):
        try:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            return sock
        except OSError:
            sock.close()
            time.sleep(0.01)
    sys.exit("no server")


def receive(size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            sys.exit("the server has left")
        data += piece
    return data


def envelope():
    total, kind, _, _, seq, _, _ = struct.unpack("<IBBHQII", receive(24))
    return kind, seq, receive(total - 24)


def exchange(kind, payload, seq, capacity):
    sock.sendall(struct.pack("<IBBHQII", 24 + len(payload), kind, 0, 0, seq, capacity, 0)
                 + payload)
    kind, got, payload = envelope()
    while kind == 5:  # NOTIFY
        notes.append(payload)
        kind, got, payload = envelope()
    assert got == seq
    return kind, payload


def ask(kind, body, want=0):
    global seq
    seq += 1
    frame = struct.pack("<IBH", 7 + len(body), kind, seq) + body
    got, reply = exchange(3, frame, seq, 1 << 16)
    if not reply:
        sys.exit("no reply")
    assert got == 4 and reply[4] == kind | 0x80
    status = struct.unpack_from("<I", reply, 7)[0]
    assert status == want, (kind, status)
    return reply[11:]


def name(text):
    return struct.pack("<H", len(text)) + text


sock, seq, notes = connect(sys.argv[1]), 0, []
kind, hello = exchange(1, b"v86fsbr1" + struct.pack("<IIIIQ", 1, 0x33, 1 << 20, 0, 0), 0, 0)
assert kind == 2 and hello[12:16] == b"\x33\0\0\0"
root = struct.unpack_from("<Q", ask(0x00, name(b"")))[0]
node = struct.unpack_from("<Q", ask(0x07, struct.pack("<Q", root) + name(b"f")
                                    + struct.pack("<I", 0o644)))[0]
text = os.fsencode(sys.argv[2])
ask(0x08, struct.pack("<QQI", node, 0, len(text)) + text)
assert ask(0x06, struct.pack("<QQI", node, 0, 100))[4:] == text
ask(0x01, struct.pack("<Q", root) + name(b"none"), 2)
if len(sys.argv) > 3:
    path = os.path.join(sys.argv[3], "f")
    if os.path.exists(path):
        os.chmod(path, 0o600)
    while not notes:
        kind, _, payload = envelope()
        assert kind == 5
        notes.append(payload)
    assert notes[0] == struct.pack("<IBHQQQ", 31, 0x20, 0, node, 0, 0), notes
ask(0x03, struct.pack("<QQ", root, 0))
sock.sendall(struct.pack("<IBBHQII", 24, 8, 0, 0, 0, 0, 0))
