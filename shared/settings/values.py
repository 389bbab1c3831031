"""What the values of settings may be: how each is read, and what of it is refused.

All raise ``ConfigurationError``, which names the variable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

from shared.errors import ConfigurationError
from shared.images import entry_fault
from shared.quantities import quantity

_LOCAL_ORIGIN = re.compile(r"http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[1-9][0-9]{0,4})?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def parsed(env: str, text: str, kind: Any) -> Any:
    """The value that a variable's text means.

    Args:
        env: The variable.
        text: Its text, not empty.
        kind: The type of the value: ``bool``, ``int``, ``str``, a ``Literal``, or a tuple of texts.

    Raises:
        ConfigurationError: The text means no such value.
    """
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ConfigurationError(f"{env} must be true or false", variable=env)
        return text.lower() == "true"
    if kind is int:
        # Kubernetes keeps seconds as 32-bit numbers.
        if not text.isascii() or not text.isdecimal() or len(text) > 10 or not 0 < int(text) < 2**31:
            raise ConfigurationError(f"{env} must be a whole number from 1 to {2**31 - 1}", variable=env)
        return int(text)
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ConfigurationError(f"{env} must be one of {', '.join(get_args(kind))}", variable=env)
        return text
    if get_origin(kind) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def size(env: str, text: str) -> Decimal:
    """The number that a Kubernetes quantity means.

    Raises:
        ConfigurationError: The text is none.
    """
    try:
        return quantity(text)
    except ValueError as error:
        raise ConfigurationError(f"{env} is not a Kubernetes quantity", variable=env) from error


def require_order(low: str, least: Decimal | int, high: str, most: Decimal | int) -> None:
    """Refuses a value that is larger than its bound.

    Args:
        low: The variable.
        least: Its value.
        high: The variable of the bound.
        most: The bound.

    Raises:
        ConfigurationError: It is larger.
    """
    if least > most:
        raise ConfigurationError(f"{low} is larger than {high}", variable=low)


def require_addresses(env: str, addresses: Iterable[str]) -> None:
    """Refuses what is no e-mail address.

    Raises:
        ConfigurationError: One of them is none.
    """
    if not all("@" in address for address in addresses):
        raise ConfigurationError(f"{env} holds what is no e-mail address", variable=env)


def require_local_origins(env: str, origins: Iterable[str]) -> None:
    """Refuses origins that are not on this machine.

    Raises:
        ConfigurationError: One of them is not.
    """
    if not all(_LOCAL_ORIGIN.fullmatch(origin) for origin in origins):
        raise ConfigurationError(
            f"{env} takes origins on this machine only, such as http://127.0.0.1:3001", variable=env
        )


def require_dns_label(env: str, text: str) -> None:
    """Refuses what cannot be the name of a namespace.

    Raises:
        ConfigurationError: It cannot.
    """
    if not _DNS_LABEL.fullmatch(text):
        raise ConfigurationError(f"{env} is not a DNS label", variable=env)


def require_images(env: str, entries: Iterable[str]) -> None:
    """Refuses what names no images.

    Raises:
        ConfigurationError: One of the entries does not.
    """
    for entry in entries:
        if fault := entry_fault(entry):
            raise ConfigurationError(f"{env}: {entry!r} {fault}", variable=env)
