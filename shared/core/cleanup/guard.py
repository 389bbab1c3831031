"""One thing of many that cleanup sees to: what goes wrong with it holds up none of the others."""

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
    """A block whose failure goes into the report and no further.

    Args:
        report: Says that the thing is left, and why.
        kind: Of the thing, as in ``Decision``.
        name: Of the thing.
        until: Time on the loop's clock at which the block is given up.
        late: What is said then.
    """
    try:
        async with asyncio.timeout_at(until):
            yield
    except GamguiError as error:
        report.note(kind, name, Action.LEFT, f"{error.reason}: {error.detail}")
    except TimeoutError:
        report.note(kind, name, Action.LEFT, late)
    except Exception:
        # A fault in the code must not become one of the run: everybody else's things are still to be seen to.
        log.exception("cleanup of %s %s failed", kind, name)
        report.note(kind, name, Action.LEFT, "a fault of ours: see the log")
