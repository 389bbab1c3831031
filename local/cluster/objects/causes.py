"""Makes the causes of a 422 in the words of a real API server."""

from .errors import Cause


def required(field: str, note: str = "") -> Cause:
    """Return the cause for a required field that is missing."""
    return Cause(field, "FieldValueRequired", f"Required value{': ' + note if note else ''}")


def invalid_value(field: str, value: object, why: str) -> Cause:
    """Return the cause for a field whose value is not allowed."""
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {why}")


def unsupported(field: str, value: object, allowed: tuple[str, ...]) -> Cause:
    """Return the cause for a field whose value is none of a few."""
    listed = ", ".join(f'"{item}"' for item in sorted(allowed))
    return Cause(field, "FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {listed}')
