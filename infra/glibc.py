"""Fails where a program needs a newer glibc than Amazon Linux 2023 has: it would end at its start, before it logs anything.

Usage: glibc.py [--newest 2.34] PROGRAM ... Each program is an ELF file of 64 bits; a static one needs none.
"""

import argparse
import re
import struct
import sys
from pathlib import Path

# Amazon Linux 2023 User Guide, "GNU Compiler Collection, glibc and binutils".
NEWEST = "2.34"

DYNAMIC, LOAD = 2, 1
STRTAB, VERNEED, VERNEEDNUM = 5, 0x6FFFFFFE, 0x6FFFFFFF


def needed(program):
    """The versions of glibc that the program's symbols need, as pairs of numbers."""
    data = program.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        raise ValueError(f"{program} is no ELF file of 64 bits")
    order = "<" if data[5] == 1 else ">"
    (offset,) = struct.unpack_from(order + "Q", data, 32)
    size, count = struct.unpack_from(order + "HH", data, 54)
    headers = []
    for index in range(count):
        kind, _, at, address, _, length = struct.unpack_from(order + "IIQQQQ", data, offset + index * size)
        headers.append((kind, at, address, length))

    def place(address):
        for kind, at, start, length in headers:
            if kind == LOAD and start <= address < start + length:
                return at + address - start
        raise ValueError(f"{program} has nothing at {address:#x}")

    dynamic = {}
    for kind, at, _, length in headers:
        if kind == DYNAMIC:
            dynamic.update(struct.iter_unpack(order + "QQ", data[at : at + length - length % 16]))
    versions = set()
    if VERNEED not in dynamic:
        return versions
    names, at = place(dynamic[STRTAB]), place(dynamic[VERNEED])
    for _ in range(dynamic[VERNEEDNUM]):
        _, symbols, _, first, following = struct.unpack_from(order + "HHIII", data, at)
        symbol = at + first
        for _ in range(symbols):
            _, _, _, name, step = struct.unpack_from(order + "IHHII", data, symbol)
            text = data[names + name : data.index(b"\0", names + name)].decode()
            if found := re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", text):
                versions.add((int(found[1]), int(found[2])))
            symbol += step
        at += following
    return versions


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--newest", default=NEWEST, help="the newest glibc that may be needed")
    parser.add_argument("programs", nargs="+", type=Path)
    arguments = parser.parse_args()
    newest = tuple(int(part) for part in arguments.newest.split("."))
    too_new = []
    for program in arguments.programs:
        needs = max(needed(program), default=None)
        if needs and needs > newest:
            too_new.append(f"{program} needs glibc {'.'.join(map(str, needs))}")
    if too_new:
        sys.exit("\n".join([*too_new, f"Lambda has {arguments.newest}: build with `make release`, which builds for that one"]))


if __name__ == "__main__":
    main()
