"""Which version of a session a caller wants to change: the header If-Match."""

from __future__ import annotations

import re

from starlette.datastructures import Headers

_STRONG = re.compile(r'(?:^|,)[ \t]*("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|$)')


def if_match(headers: Headers) -> frozenset[str]:
    """The entity tags of If-Match, which compare strongly (RFC 9110, section 13.1.1).

    Returns:
        The tags; empty when there is no condition. If the header has no strong tag, a tag that nothing has.
    """
    if "if-match" not in headers:
        return frozenset()
    value = ",".join(headers.getlist("if-match"))
    if value.strip() == "*":
        return frozenset()
    return frozenset(_STRONG.findall(value)) or frozenset({""})
