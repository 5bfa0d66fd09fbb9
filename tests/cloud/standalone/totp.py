"""Says the one-time passcode of now, RFC 6238: totp.py FILE USER (FILE has a base32 key a user)."""
import base64
import hashlib
import hmac
import json
import struct
import sys
import time


def passcode(key, at):
    mac = hmac.digest(base64.b32decode(key), struct.pack(">Q", int(at) // 30), hashlib.sha1)
    start = mac[-1] & 15
    number = struct.unpack(">I", mac[start:start + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**6:06d}"


def main(path, user):
    # The last six digits of the example in RFC 6238, appendix B.
    assert passcode(base64.b32encode(b"12345678901234567890"), 59) == "287082"
    with open(path, encoding="utf-8") as file:
        print(passcode(json.load(file)[user], time.time()))


if __name__ == "__main__":
    main(*sys.argv[1:])
