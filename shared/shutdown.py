"""How running work learns that its process is told to end."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def shutdown_event() -> asyncio.Event:
    """An event of the running loop that is set when the process is told to end.

    The server's own handlers are called first and stay in charge. But a server waits for
    open responses before it tells the application anything (uvicorn's ``Server.shutdown``,
    with gunicorn too), and a response that ends with its command would be waited for until
    the process is killed: ten seconds on Cloud Run.

    Where the process has no handler the signal ends it at once, and outside the main thread
    Python handles no signals: then the event is never set.
    """
    event = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            _set_on(number, event, loop)
    return event


def _set_on(number: signal.Signals, event: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    before = signal.getsignal(number)
    if not callable(before):
        return

    def handle(number: int, frame: FrameType | None) -> None:
        before(number, frame)
        loop.call_soon_threadsafe(event.set)

    signal.signal(number, handle)
