"""Where one JSON object of OVSDB's stream ends: each byte is looked at once, however the stream is cut."""

import re

LARGEST = 256 * 1024 * 1024  # bytes of one message; ten thousand ports are five megabytes

# Everything up to the next brace that stands outside a string (or up to a string that this chunk does not finish).
# Nothing here may be given back: without the possessive `+` a long message would be kept on the matcher's stack.
_UP_TO_A_BRACE = re.compile(rb'[^{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^{}"]*+)*+', re.DOTALL)
_UP_TO_THE_QUOTE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_QUOTE, _BACKSLASH, _OPEN, _BLANK = ord('"'), ord("\\"), ord("{"), b" \t\r\n"


class Framing:
    """Cuts a stream of JSON objects, which OVSDB sends without any separator, into messages."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of the message that is not complete yet
        self._size = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The messages that `chunk` completes. Raises ValueError when this cannot be such a stream."""
        messages = []
        start = at = 0
        end = len(chunk)
        while at < end:
            if self._in_string:
                at = self._through_string(chunk, at)
                continue
            at = _end_of(_UP_TO_A_BRACE, chunk, at)
            if at == end:
                break
            found = chunk[at]
            at += 1
            if found == _QUOTE:
                self._in_string = True
            elif found == _OPEN:
                if self._depth == 0 and (self._parts or chunk[start : at - 1].strip(_BLANK)):
                    raise ValueError("something other than an object in a stream of JSON objects")
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth < 0:
                    raise ValueError("a brace closes in a stream of JSON objects where none is open")
                if self._depth == 0:
                    messages.append(b"".join((*self._parts, chunk[start:at])))
                    self._parts, self._size = [], 0
                    start = at
        self._keep(chunk[start:])
        return messages

    def _through_string(self, chunk: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        at = _end_of(_UP_TO_THE_QUOTE, chunk, at)
        if at == len(chunk):
            return at
        if chunk[at] == _BACKSLASH:  # the last byte of the chunk
            self._escaped = True
        else:
            self._in_string = False
        return at + 1

    def _keep(self, rest: bytes) -> None:
        if self._depth == 0 and not self._in_string and not rest.strip(_BLANK):
            return
        self._parts.append(rest)
        self._size += len(rest)
        if self._size > LARGEST:
            raise ValueError(f"a JSON message of more than {LARGEST} bytes")


def _end_of(pattern: re.Pattern[bytes], chunk: bytes, at: int) -> int:
    found = pattern.match(chunk, at)
    assert found is not None  # every pattern here matches the empty string
    return found.end()
