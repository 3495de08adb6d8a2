"""What the processes of a stack show to everybody on the machine: command lines, and sockets that listen."""

import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from liber_tasks.local import stack as local_stack
from liber_tasks.local.environment import Stack


@dataclass
class Shown:
    """Everything seen so far.

    Attributes:
        commands: command lines and titles.
        listening: (program, address, port) of sockets that wait for connections or datagrams.
        looks: how often was looked.
    """

    commands: set[str] = field(default_factory=set)
    listening: set[tuple[str, str, int]] = field(default_factory=set)
    looks: int = 0

    def look(self, stack: Stack) -> None:
        """Add what can be seen now."""
        for process in local_stack.members(stack):
            try:
                self.commands.add(" ".join(process.cmdline()))
                for each in process.net_connections("inet"):
                    datagrams = each.type == socket.SOCK_DGRAM and not each.raddr
                    if each.status == psutil.CONN_LISTEN or datagrams:
                        self.listening.add((process.name(), each.laddr.ip, each.laddr.port))
            except psutil.Error:
                continue
        self.looks += 1

    def open_to_others(self) -> set[tuple[str, str, int]]:
        """Sockets that other machines reach."""
        return {each for each in self.listening if not ipaddress.ip_address(each[1]).is_loopback}


@contextmanager
def watched(stack: Stack) -> Iterator[Shown]:
    """Look again and again until the block ends, and once more then."""
    shown, ended = Shown(), threading.Event()

    def look() -> None:
        while not ended.wait(0.3):
            shown.look(stack)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield shown
    finally:
        ended.set()
        watcher.join(60)
        shown.look(stack)
