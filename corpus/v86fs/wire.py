# SPDX-License-Identifier: MIT
"""The wire of the sync bridge (docs/v86fs.md): envelopes over the socket that is
descriptor 3, or through shared memory where the other side offers that."""
import mmap, os, select, socket
from struct import pack, unpack_from

FIXED = [12, 20, 24, 4, 8, 0, 4, 12, 4, 12, 0, 0, 0, 0, 12, 0, 44]  # of an error reply


class Error(Exception):
    """A status for the other side."""


class Rings:
    """Counters of 32 bits that only grow, then a ring for requests and one for replies."""
    REQUEST_HEAD, REQUEST_TAIL, REPLY_HEAD, REPLY_TAIL = 16, 32, 48, 64  # u32 at 4 times that

    def __init__(self, sock, memory, told, tell):
        self.sock, self.told, self.tell = sock, told, tell
        self.memory = mmap.mmap(memory, 0)
        self.counter = memoryview(self.memory)[:4096].cast("I")
        self.size = self.counter[1]

    def read(self):
        head = self.counter[self.REQUEST_HEAD]
        while self.counter[self.REQUEST_TAIL] == head:
            ready, _, _ = select.select([self.told, self.sock], [], [])
            if self.told in ready:
                os.eventfd_read(self.told)
            elif self.sock in ready:
                return b""  # the end: nothing else comes through the socket
        size = unpack_from("<I", self.move(4096, head, 4))[0]
        record = self.move(4096, head, size)
        self.counter[self.REQUEST_HEAD] = head + (size + 7 & ~7) & 0xffffffff
        return record

    def write(self, record):
        tail, size = self.counter[self.REPLY_TAIL], len(record) + 7 & ~7
        while tail - self.counter[self.REPLY_HEAD] & 0xffffffff > self.size - size:
            select.select([self.sock], [], [], 0.001)
        self.move(4096 + self.size, tail, len(record), record)
        self.counter[self.REPLY_TAIL] = tail + size & 0xffffffff
        os.eventfd_write(self.tell, 1)

    def move(self, ring, at, size, record=None):  # to the end of the ring, and on from its start
        at &= self.size - 1
        first = min(size, self.size - at)
        if record is None:
            return self.memory[ring + at:ring + at + first] + self.memory[ring:ring + size - first]
        self.memory[ring + at:ring + at + first] = record[:first]
        self.memory[ring:ring + size - first] = record[first:]


class Stream:
    def __init__(self, sock):
        self.file = sock.makefile("rwb")

    def read(self):
        head = self.file.read(24)
        return head and head + self.file.read(unpack_from("<I", head)[0] - 24)

    def write(self, record):
        self.file.write(record)
        self.file.flush()


def name_at(body, at):  # a u16 count and bytes: the text, and where the next field is
    end = at + 2 + unpack_from("<H", body, at)[0]
    return bytes(body[at + 2:end]), end


def hello(sock):  # no extension; shared memory if it is offered (flag 1)
    record, fds, _, _ = socket.recv_fds(sock, 56, 3)
    rings = Rings(sock, *fds) if len(fds) == 3 and unpack_from("<I", record, 44)[0] & 1 else None
    sock.sendall(record[:4] + b"\2" + record[5:36] + bytes(4) + record[40:44]
                 + pack("<IQ", 1 if rings else 0, 0))
    return rings or Stream(sock)


def reply(serve, frame):
    kind, tag = unpack_from("<BH", frame, 4)
    try:
        status, rest = 0, serve(kind, frame[7:])
    except Error as error:
        status, rest = error.args[0], bytes(FIXED[kind])
    return pack("<IBHI", 11 + len(rest), kind | 0x80, tag, status) + rest


def run(serve):  # serve(type, body) answers the body behind the status, or raises Error
    wire = hello(socket.socket(fileno=3))
    while record := wire.read():
        kind, seq = record[4], unpack_from("<Q", record, 8)[0]
        if kind == 3:  # REQ; CANCEL and MARK want no answer; behind BYE there is no more
            frame = reply(serve, record[24:])
            wire.write(pack("<IBBHQII", 24 + len(frame), 4, 0, 0, seq, 0, 0) + frame)
