"""A guard around the work on one item of many: a failure of one item holds up none of the others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from shared.core.cleanup.report import Action, Report
from shared.errors import GamguiError

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def guarded(
    report: Report, kind: str, name: str, until: float, late: str = "it took too long"
) -> AsyncGenerator[None, None]:
    """A context whose failure goes into the report and no further.

    Args:
        report: Notes, after a failure, that the item is left, and why.
        kind: Kind of the item, as in ``Decision``.
        name: Name of the item, as in ``Decision``.
        until: Time on the event loop's clock at which the block is cancelled.
        late: The reason in the report for an item whose block was cancelled.
    """
    try:
        async with asyncio.timeout_at(until):
            yield
    except GamguiError as error:
        report.note(kind, name, Action.LEFT, f"{error.reason}: {error.detail}")
    except TimeoutError:
        report.note(kind, name, Action.LEFT, late)
    except Exception:
        # A fault in the code must not end the run: the other items are still to be handled.
        log.exception("cleanup of %s %s failed", kind, name)
        report.note(kind, name, Action.LEFT, "a fault of ours: see the log")
