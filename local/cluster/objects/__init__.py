"""Pure functions about Kubernetes objects, without input, output, or a clock of their own.

An object is its JSON as Python has it: nested dictionaries, lists and scalars.
"""

from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
