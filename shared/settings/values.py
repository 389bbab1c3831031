"""Reads and checks the values of settings.

All functions raise ``ConfigurationError``, which names the variable.
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
    """The value that the text of a variable stands for.

    Args:
        env: Name of the variable.
        text: Its text, not empty.
        kind: The type of the value: ``bool``, ``int``, ``str``, a ``Literal``, or a tuple of texts.

    Raises:
        ConfigurationError: The text stands for no value of this type.
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
    """The number that a Kubernetes quantity stands for.

    Raises:
        ConfigurationError: The text is no quantity.
    """
    try:
        return quantity(text)
    except ValueError as error:
        raise ConfigurationError(f"{env} is not a Kubernetes quantity", variable=env) from error


def require_order(low: str, least: Decimal | int, high: str, most: Decimal | int) -> None:
    """Refuses a value that is larger than its limit.

    Args:
        low: Name of the variable.
        least: Its value.
        high: Name of the variable with the limit.
        most: The limit.

    Raises:
        ConfigurationError: The value is larger than the limit.
    """
    if least > most:
        raise ConfigurationError(f"{low} is larger than {high}", variable=low)


def require_addresses(env: str, addresses: Iterable[str]) -> None:
    """Refuses a text that is no e-mail address.

    Raises:
        ConfigurationError: One of the addresses is no e-mail address.
    """
    if not all("@" in address for address in addresses):
        raise ConfigurationError(f"{env} holds what is no e-mail address", variable=env)


def require_local_origins(env: str, origins: Iterable[str]) -> None:
    """Refuses origins that are not on this machine.

    Raises:
        ConfigurationError: One of the origins is not on this machine.
    """
    if not all(_LOCAL_ORIGIN.fullmatch(origin) for origin in origins):
        raise ConfigurationError(
            f"{env} takes origins on this machine only, such as http://127.0.0.1:3001", variable=env
        )


def require_dns_label(env: str, text: str) -> None:
    """Refuses a text that cannot be the name of a namespace.

    Raises:
        ConfigurationError: The text is no DNS label.
    """
    if not _DNS_LABEL.fullmatch(text):
        raise ConfigurationError(f"{env} is not a DNS label", variable=env)


def require_images(env: str, entries: Iterable[str]) -> None:
    """Refuses an entry that is no name or pattern of an image.

    Raises:
        ConfigurationError: One of the entries is malformed.
    """
    for entry in entries:
        if fault := entry_fault(entry):
            raise ConfigurationError(f"{env}: {entry!r} {fault}", variable=env)
