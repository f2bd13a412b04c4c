#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A file tree in memory behind the sync bridge of lockstep (docs/v86fs.md).

    lockstep mount 'remote:exec:python3 corpus/v86fs/bridge.py,shm' FOLDER

Keys of nodes are numbers of our own, which do for handles too; no extension is used.
"""
import time
from struct import pack, unpack_from

from wire import Error, name_at, run

DIR, FILE, LINK, TYPE = 0o040000, 0o100000, 0o120000, 0o170000
ENOENT, EEXIST, ENOSYS, ENOTEMPTY, ESTALE = 2, 17, 38, 39, 116


class Node:
    def __init__(self, mode, data=b""):
        self.mode, self.data, self.names, self.mtime = mode, bytearray(data), {}, time.time_ns()


nodes = {1: Node(DIR | 0o755)}


def get(table, key, status):
    if key not in table:
        raise Error(status)
    return table[key]


def add(parent, name, new):
    if name in nodes[parent].names:
        raise Error(EEXIST)
    key = max(nodes) + 1
    nodes[key], nodes[parent].names[name], nodes[parent].mtime = new, key, new.mtime
    return pack("<QI", key, new.mode)


def resize(n, size):
    n.data, n.mtime = n.data[:size] + bytes(max(0, size - len(n.data))), time.time_ns()


def serve(kind, body):
    key = unpack_from("<Q", body)[0] if kind not in (0x00, 0x10) else 1
    n = get(nodes, key, ESTALE)
    if kind in (0x01, 0x07, 0x09, 0x0c, 0x0d, 0x0e):
        name, at = name_at(body, 8)
    if kind == 0x00:  # MOUNT
        return pack("<QI", key, n.mode)
    if kind == 0x01:  # LOOKUP
        found = get(n.names, name, ENOENT)
        return pack("<QIQ", found, nodes[found].mode, len(nodes[found].data))
    if kind == 0x02:  # GETATTR
        return pack("<IQqI", n.mode, len(n.data), *divmod(n.mtime, 10**9))
    if kind == 0x03:  # READDIR
        return pack("<I", len(n.names)) + b"".join(
            pack("<QBH", k, nodes[k].mode >> 12, len(name)) + name
            for name, k in sorted(n.names.items()))
    if kind == 0x04:  # OPEN
        return pack("<Q", key)
    if kind == 0x06:  # READ
        offset, size = unpack_from("<QI", body, 8)
        data = bytes(n.data[offset:offset + size])
        return pack("<I", len(data)) + data
    if kind in (0x07, 0x09):  # CREATE, MKDIR
        mode = unpack_from("<I", body, at)[0] & 0o7777
        return add(key, name, Node((FILE if kind == 0x07 else DIR) | mode))
    if kind == 0x08:  # WRITE
        offset, size = unpack_from("<QI", body, 8)
        resize(n, max(len(n.data), offset + size))
        n.data[offset:offset + size] = body[20:]
        return pack("<I", size)
    if kind == 0x0a:  # SETATTR: mode and size
        valid, mode, size = unpack_from("<IIQ", body, 8)
        if valid & 1:
            n.mode = n.mode & TYPE | mode & 0o7777
        if valid & 8:
            resize(n, size)
    elif kind == 0x0c:  # UNLINK: files and empty directories; the node stays
        if nodes[get(n.names, name, ENOENT)].names:
            raise Error(ENOTEMPTY)
        del n.names[name]
    elif kind == 0x0d:  # RENAME
        to = get(nodes, unpack_from("<Q", body, at)[0], ESTALE)
        moved = get(n.names, name, ENOENT)
        new_name, _ = name_at(body, at + 8)
        if new_name in to.names and nodes[to.names[new_name]].names:
            raise Error(ENOTEMPTY)
        del n.names[name]
        to.names[new_name] = moved
    elif kind == 0x0e:  # SYMLINK
        return add(key, name, Node(LINK | 0o777, name_at(body, at)[0]))
    elif kind == 0x0f:  # READLINK
        return pack("<H", len(n.data)) + bytes(n.data)
    elif kind == 0x10:  # STATFS
        return pack("<QQQQQI", 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096)
    elif kind not in (0x05, 0x0b):  # CLOSE, FSYNC: nothing to do
        raise Error(ENOSYS)
    return b""


run(serve)
