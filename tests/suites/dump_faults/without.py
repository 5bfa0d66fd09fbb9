"""Runs a command on filesystems that lack something: each of its system calls of these names fails.

python3 without.py ERRNO NAME,NAME... COMMAND...
"""

import ctypes
import errno
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {
        "chmod": 90, "fchmod": 91, "fchmodat": 268, "link": 86, "linkat": 265, "flock": 73,
        "fsync": 74, "fdatasync": 75, "statfs": 137, "fstatfs": 138,
    },
    "aarch64": {
        "fchmod": 52, "fchmodat": 53, "linkat": 37, "flock": 32, "fsync": 82, "fdatasync": 83,
        "statfs": 43, "fstatfs": 44,
    },
}


def program(names, error):
    """A filter of system calls (seccomp(2)), in the code of BPF."""
    numbers = [NUMBERS[platform.machine()][name] for name in names.split(",")
               if name in NUMBERS[platform.machine()]]
    code = [struct.pack("HBBI", 0x20, 0, 0, 0)]  # load the number of the call
    for at, number in enumerate(numbers):
        code.append(struct.pack("HBBI", 0x15, len(numbers) - at, 0, number))
    code.append(struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))  # allow
    code.append(struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | error))  # fail
    return b"".join(code), len(code)


def main():
    code, length = program(sys.argv[2], getattr(errno, sys.argv[1]))
    buffer = ctypes.create_string_buffer(code)
    filter_ = struct.pack("HP", length, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in [(38, 1, 0, 0, 0), (22, 2, ctypes.create_string_buffer(filter_), 0, 0)]:
        if libc.prctl(*words) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    os.execv(sys.argv[3], sys.argv[3:])


main()
