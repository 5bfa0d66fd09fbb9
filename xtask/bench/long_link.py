"""A long link between this network namespace and another: what `tc netem` does, without the kernel
module, which not every kernel has.

long_link.py DEVICE FAR_DEVICE NAMESPACE DELAY LOSS CAPACITY makes a TUN device at each end and carries
packets from one to the other, each DELAY seconds later, without those that are lost at random: LOSS of
all that leave the far end. The far end sends CAPACITY bytes per second (0: as many as it can); what
waits for longer than QUEUE seconds is dropped. Says "ready" when the devices are there; they go with
the process.
"""

import collections
import fcntl
import os
import random
import selectors
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TUN_NO_PI = 0x0001 | 0x1000
LARGEST = 65536
AT_ONCE = 64
QUEUE = 0.1


class End:
    """A device, and the packets on their way to it."""

    def __init__(self, name):
        self.device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
        self.coming = collections.deque()
        # When the link can carry the next packet that leaves this end.
        self.free = 0.0

    def send_on(self, other, delay, loss, capacity):
        """Takes what left this end."""
        for _ in range(AT_ONCE):
            try:
                packet = os.read(self.device, LARGEST)
            except BlockingIOError:
                return
            if random.random() < loss:
                continue
            sent = time.monotonic()
            if capacity:
                sent = max(sent, self.free)
                if sent - time.monotonic() > QUEUE:
                    continue
                self.free = sent + len(packet) / capacity
            other.coming.append((sent + delay, packet))

    def deliver(self):
        """Hands on what is due. Says how long the next has to wait."""
        while self.coming:
            wait = self.coming[0][0] - time.monotonic()
            if wait > 0:
                return wait
            try:
                os.write(self.device, self.coming.popleft()[1])
            except OSError:
                pass  # The device is not up yet.
        return None


def main():
    name, far_name, namespace, *numbers = sys.argv[1:]
    delay, loss, capacity = map(float, numbers)
    random.seed(1)
    near, far = End(name), End(far_name)
    subprocess.run(["ip", "link", "set", far_name, "netns", namespace], check=True)
    print("ready", flush=True)
    ready = selectors.DefaultSelector()
    ready.register(near.device, selectors.EVENT_READ, (near, far, 0.0, 0.0))
    ready.register(far.device, selectors.EVENT_READ, (far, near, loss, capacity))
    wait = None
    while True:
        for key, _ in ready.select(wait):
            one, other, *losing = key.data
            one.send_on(other, delay, *losing)
        waits = [wait for wait in (near.deliver(), far.deliver()) if wait is not None]
        wait = min(waits, default=None)


main()
