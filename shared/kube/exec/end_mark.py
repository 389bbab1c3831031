"""The line by which the supervisor says, at the end of each output stream, that the command has ended."""

from __future__ import annotations

_CODE_LENGTH = len("000\n")


def end_mark(tag: str, code: int) -> bytes:
    """The line as the supervisor prints it.

    Args:
        tag: The supervisor's tag.
        code: The command's exit code.
    """
    return f"{tag} . {code:03}\n".encode()


class EndMark:
    """Takes the line out of one stream, however the stream is cut.

    Args:
        tag: The supervisor's tag.

    Attributes:
        code: The command's exit code; None before the line has come.
    """

    def __init__(self, tag: str) -> None:
        self.code: int | None = None
        self._begin = f"{tag} . ".encode()
        self._tail = b""

    def __len__(self) -> int:
        """How many bytes are kept back."""
        return len(self._tail)

    def without(self, data: bytes) -> bytes:
        """The data without the line; an end that may begin the line is kept back for the next call."""
        if self.code is not None:
            return data
        data, self._tail = self._tail + data, b""
        at = data.find(self._begin)
        while at >= 0:
            end = at + len(self._begin) + _CODE_LENGTH
            if end > len(data):
                return self._keep(data, at)
            digits = data[end - _CODE_LENGTH : end - 1]
            if data[end - 1 : end] == b"\n" and digits.isdigit() and int(digits) <= 255:
                self.code = int(digits)
                return data[:at] + data[end:]
            at = data.find(self._begin, at + 1)
        for length in range(min(len(data), len(self._begin) - 1), 0, -1):
            if data.endswith(self._begin[:length]):
                return self._keep(data, len(data) - length)
        return data

    def rest(self) -> bytes:
        """What is kept back: it did not become the line. Afterwards nothing is kept back."""
        tail, self._tail = self._tail, b""
        return tail

    def _keep(self, data: bytes, at: int) -> bytes:
        self._tail = data[at:]
        return data[:at]
