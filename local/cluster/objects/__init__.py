"""Pure functions about Kubernetes objects: no input or output, no clock of their own.

An object is what its JSON says: nested dictionaries, lists and scalars.
"""

from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
