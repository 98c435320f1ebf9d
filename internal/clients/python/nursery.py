"""Makes a driver's process without waiting for its imports, which take seconds.

nursery.py SOCKET           imports all SDKs, and forks a process for each who asks
nursery.py SOCKET --borrow  asks for one, which gets its environment, output and end

A process that was borrowed is one of its own, and is killed when its borrower is.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import threading

# What the SDKs import with their first call, and each process would again.
LATE = """
    anyio._backends._asyncio google.auth.aio h2.connection httpcore httpcore2 langchain_core.tracers.langchain
    litellm.integrations.prometheus_services litellm.litellm_core_utils.default_encoding
    litellm.litellm_core_utils.logging_callback_manager litellm.llms.fal_ai.image_generation
    litellm.llms.github_copilot.common_utils litellm.proxy._types litellm.proxy.openai_files_endpoints.common_utils
    openai.lib.streaming.chat openai.lib.streaming.responses openai.resources.chat.completions
    opentelemetry.baggage.propagation opentelemetry.trace.propagation.tracecontext truststore
"""


def borrow(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(path)
        environ = json.dumps(dict(os.environ)).encode()
        socket.send_fds(s, [len(environ).to_bytes(4, "big")], [1, 2])
        s.sendall(environ)
        status = s.recv(1)
    os._exit(status[0] if status else 1)


def asked(conn: socket.socket):
    """The environment and the output of who asks."""
    head, fds, _, _ = socket.recv_fds(conn, 4, 2)
    with conn.makefile("rb") as f:
        return json.loads(f.read(int.from_bytes(head, "big"))), fds


def be(environ: dict, fds: list) -> None:
    """What the child does."""
    import driver

    for fd, as_fd in zip(fds, (1, 2)):
        os.dup2(fd, as_fd)
        os.close(fd)
    os.environ.clear()
    os.environ.update(environ)
    status = 1
    try:
        driver.run()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class Nursery:
    def __init__(self, path: str):
        self.ready = selectors.DefaultSelector()
        self.alive = set()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(64)
        self.ready.register(self.listener, selectors.EVENT_READ, self.lend)

    def lend(self) -> None:
        conn, _ = self.listener.accept()
        environ, fds = asked(conn)
        if (pid := os.fork()) == 0:
            be(environ, fds)
        for fd in fds:
            os.close(fd)
        self.alive.add(pid)
        pidfd = os.pidfd_open(pid)
        self.ready.register(conn, selectors.EVENT_READ, lambda: self.bereave(conn, pid))
        self.ready.register(pidfd, selectors.EVENT_READ, lambda: self.bury(conn, pid, pidfd))

    def bereave(self, conn: socket.socket, pid: int) -> None:
        """The borrower is gone, before its process or after."""
        self.ready.unregister(conn)
        conn.close()
        if pid in self.alive:
            os.kill(pid, signal.SIGKILL)

    def bury(self, conn: socket.socket, pid: int, pidfd: int) -> None:
        self.ready.unregister(pidfd)
        os.close(pidfd)
        self.alive.remove(pid)
        _, status = os.waitpid(pid, 0)
        try:
            conn.sendall(bytes([0 if status == 0 else 1]))
        except OSError:
            pass  # it is gone already

    def run(self) -> None:
        """Until standard input ends."""
        self.ready.register(0, selectors.EVENT_READ)
        while True:
            for key, _ in self.ready.select():
                if key.fd == 0:
                    return
                key.data()


def lend(path: str) -> None:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import driver

    for module in [*driver.MODULES.values(), *LATE.split()]:
        importlib.import_module(module)
    gc.freeze()  # or each process would copy it all at its first collection
    if threading.active_count() > 1:  # the others would be missing after a fork
        raise SystemExit(f"an import has started threads: {threading.enumerate()}")
    nursery = Nursery(path)
    print("ready", flush=True)
    nursery.run()


if __name__ == "__main__":
    if sys.argv[2:] == ["--borrow"]:
        borrow(sys.argv[1])
    else:
        lend(sys.argv[1])
