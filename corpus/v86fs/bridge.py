#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A file tree in memory behind the sync bridge of lockstep (docs/v86fs.md).

    lockstep mount 'remote:exec:python3 corpus/v86fs/bridge.py' FOLDER

The socket is descriptor 3.  Keys of nodes are numbers of our own; no extension is used.
"""
import socket, struct, sys, time

DIR, FILE, LINK = 0o040000, 0o100000, 0o120000
ENOENT, EIO, EEXIST, ENOTDIR, EISDIR, EINVAL, ENOSYS, ENOTEMPTY, ESTALE = (
    2, 5, 17, 20, 21, 22, 38, 39, 116)


class Error(Exception):
    """A status for the other side."""


class Node:
    def __init__(self, mode, data=b""):
        self.mode, self.data, self.names, self.mtime = mode, bytearray(data), {}, 0
        self.touch()

    def touch(self):
        self.mtime = time.time_ns()

    def size(self):
        return 0 if self.mode & 0o170000 == DIR else len(self.data)


nodes = {1: Node(DIR | 0o755)}


def node(key):
    if key not in nodes:
        raise Error(ESTALE)
    return nodes[key]


def child(key, name):
    if name not in node(key).names:
        raise Error(ENOENT)
    return nodes[key].names[name]


def add(parent, name, new):
    if name in node(parent).names:
        raise Error(EEXIST)
    key = max(nodes) + 1
    nodes[key], nodes[parent].names[name] = new, key
    nodes[parent].touch()
    return struct.pack("<QI", key, new.mode)


def name_at(body, at):  # a u16 count and bytes: the text and what follows
    size = struct.unpack_from("<H", body, at)[0]
    return bytes(body[at + 2:at + 2 + size]), at + 2 + size


def serve(kind, body):
    key = struct.unpack_from("<Q", body)[0] if len(body) >= 8 else 0
    if kind == 0x00:  # MOUNT
        return struct.pack("<QI", 1, nodes[1].mode)
    if kind in (0x01, 0x07, 0x09, 0x0c, 0x0d, 0x0e):
        name, at = name_at(body, 8)
    if kind == 0x01:  # LOOKUP
        found = child(key, name)
        return struct.pack("<QIQ", found, nodes[found].mode, nodes[found].size())
    if kind == 0x02:  # GETATTR
        n = node(key)
        return struct.pack("<IQqI", n.mode, n.size(), *divmod(n.mtime, 10**9))
    if kind == 0x03:  # READDIR
        list_ = sorted(node(key).names.items())
        return struct.pack("<I", len(list_)) + b"".join(
            struct.pack("<QBH", k, nodes[k].mode >> 12, len(name)) + name for name, k in list_)
    if kind == 0x04:  # OPEN: keys do for handles, so CLOSE has nothing to do
        node(key)
        return struct.pack("<Q", key)
    if kind == 0x06:  # READ
        offset, size = struct.unpack_from("<QI", body, 8)
        data = bytes(node(key).data[offset:offset + size])
        return struct.pack("<I", len(data)) + data
    if kind in (0x07, 0x09):  # CREATE, MKDIR
        mode = struct.unpack_from("<I", body, at)[0] & 0o7777
        return add(key, name, Node((FILE if kind == 0x07 else DIR) | mode))
    if kind == 0x08:  # WRITE
        offset, size = struct.unpack_from("<QI", body, 8)
        n = node(key)
        n.data.extend(bytes(max(0, offset - len(n.data))))
        n.data[offset:offset + size] = body[20:]
        n.touch()
        return struct.pack("<I", size)
    if kind == 0x0a:  # SETATTR: mode and size
        valid, mode, size = struct.unpack_from("<IIQ", body, 8)
        n = node(key)
        if valid & 1:
            n.mode = n.mode & 0o170000 | mode & 0o7777
        if valid & 8:
            n.data = n.data[:size] + bytes(max(0, size - len(n.data)))
            n.touch()
        return b""
    if kind == 0x0c:  # UNLINK: files and empty directories
        if node(child(key, name)).names:
            raise Error(ENOTEMPTY)
        del nodes[key].names[name]  # the node stays, somebody may have it open
        return b""
    if kind == 0x0d:  # RENAME
        new_parent = struct.unpack_from("<Q", body, at)[0]
        new_name, _ = name_at(body, at + 8)
        moved, old = child(key, name), node(new_parent).names.get(new_name)
        if old and nodes[old].names:
            raise Error(ENOTEMPTY)
        del nodes[key].names[name]
        nodes[new_parent].names[new_name] = moved
        return b""
    if kind == 0x0e:  # SYMLINK
        return add(key, name, Node(LINK | 0o777, name_at(body, at)[0]))
    if kind == 0x0f:  # READLINK
        return struct.pack("<H", len(node(key).data)) + bytes(node(key).data)
    if kind == 0x10:  # STATFS
        return struct.pack("<QQQQQI", 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096)
    if kind in (0x05, 0x0b):  # CLOSE, FSYNC
        return b""
    raise Error(ENOSYS)


FIXED = [12, 20, 24, 4, 8, 0, 4, 12, 4, 12, 0, 0, 0, 0, 12, 0, 44]  # behind a status


def reply(frame):
    kind, tag = struct.unpack_from("<BH", frame, 4)
    try:
        status, rest = 0, serve(kind, frame[7:])
    except Error as error:
        status, rest = error.args[0], bytes(FIXED[kind])
    return struct.pack("<IBHI", 11 + len(rest), kind | 0x80, tag, status) + rest


def receive(sock, size):
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            sys.exit(0)
        data += piece
    return data


def main(sock):
    while True:
        total, kind, flags, zero, seq, capacity, _ = struct.unpack(
            "<IBBHQII", receive(sock, 24))
        payload = receive(sock, total - 24)
        if kind == 1:  # HELLO: we take no extension
            kind, payload = 2, payload[:12] + bytes(4) + payload[16:20] + bytes(12)
        elif kind == 3:  # REQ
            kind, payload = 4, reply(payload)
        elif kind == 8:  # BYE
            return
        else:
            continue
        sock.sendall(struct.pack("<IBBHQII", 24 + len(payload), kind, 0, 0, seq, 0, 0)
                     + payload)


main(socket.socket(fileno=3))
