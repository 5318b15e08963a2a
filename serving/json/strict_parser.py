"""A JSON parser that words errors, and counts their offsets, as RapidJSON's iterative parser does.

It never recurses, so that no nesting depth can exhaust the stack.
"""

from __future__ import annotations

import math
import re

from keras_attn.serving.json.members import members_of

BYTE_ORDER_MARK = re.compile(rb"\xef?\xbb?\xbf?")  # a part of one is skipped, too
_BLANK = re.compile(rb"[ \t\n\r]*")
_INTEGER_PART = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_DIGITS = re.compile(rb"[0-9]+")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_LITERALS = {ord("t"): (b"true", True), ord("f"): (b"false", False), ord("n"): (b"null", None)}
_LARGEST_EXPONENT = 308
_TOO_BIG = "Number too big to be stored in double."
_ESCAPES = dict(zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True))


class JsonSyntaxError(Exception):
    """Text that is no JSON: what is wrong, and at which byte."""

    def __init__(self, problem: str, offset: int):
        super().__init__(problem, offset)
        self.problem = problem
        self.offset = offset


def parse_strict(body: bytes) -> object:
    """Parses the first JSON value of a text and ignores what follows it.

    Args:
        body: UTF-8 text, possibly with a byte order mark; its encoding is not checked.

    Returns:
        dict (`Members` where keys are equal), list, str, int, float, bool or None.

    Raises:
        JsonSyntaxError: the text is no JSON.
    """
    return _Parser(body).parse()


def _is_above(digits: bytes, limit: int) -> bool:
    """Compares a number of any length, which `int` refuses to read."""
    digits = digits.lstrip(b"0")
    return len(digits) > len(str(limit)) or int(digits or b"0") > limit


class _OpenObject(list):
    """Name and value of each member that an object has so far."""


class _Parser:
    def __init__(self, body: bytes):
        self._body = body + b"\0"  # a sentinel that no token starts with
        self._at = BYTE_ORDER_MARK.match(body).end()
        self._open: list[list] = []  # containers around the current position
        self._keys: list[str] = []  # the key being filled, for each open object

    def parse(self) -> object:
        if self._next() in b"\0,:]}":
            raise JsonSyntaxError("The document is empty.", self._at)
        value, opened = self._value()
        while True:
            if opened:
                self._open.append(value)
            else:
                value, closed = self._attach(value)
                if closed:
                    return value
            value, opened = self._next_value()

    def _next(self) -> bytes:
        """Skips white space and returns the byte there."""
        self._at = _BLANK.match(self._body, self._at).end()
        return self._body[self._at : self._at + 1]

    def _next_value(self) -> tuple[object, bool]:
        """Reads the value that follows inside the innermost container, or closes that."""
        container = self._open[-1]
        is_object = isinstance(container, _OpenObject)
        if not container and self._next() == (b"}" if is_object else b"]"):
            self._at += 1
            return self._close(), False
        if is_object:
            self._key()
        return self._value()

    def _attach(self, value: object) -> tuple[object, bool]:
        """Puts a finished value into its container; closes all containers that end after it."""
        while self._open:
            container = self._open[-1]
            if isinstance(container, _OpenObject):
                container.append((self._keys.pop(), value))
                end, problem = b"}", "Missing a comma or '}' after an object member."
            else:
                container.append(value)
                end, problem = b"]", "Missing a comma or ']' after an array element."
            token = self._next()
            if token not in (b",", end):
                raise JsonSyntaxError(problem, self._at)
            self._at += 1
            if token == b",":
                return None, False
            value = self._close()
        return value, True

    def _close(self) -> dict | list:
        """Returns the innermost container, which has ended."""
        container = self._open.pop()
        return members_of(container) if isinstance(container, _OpenObject) else container

    def _key(self) -> None:
        if self._next() != b'"':
            raise JsonSyntaxError("Missing a name for object member.", self._at)
        self._keys.append(self._string())
        if self._next() != b":":
            raise JsonSyntaxError("Missing a colon after a name of object member.", self._at)
        self._at += 1

    def _value(self) -> tuple[object, bool]:
        """Returns a value, and whether it is a container that has only been opened."""
        token = self._next()
        if token in (b"{", b"["):
            self._at += 1
            return (_OpenObject() if token == b"{" else []), True
        if token == b'"':
            return self._string(), False
        if token[0] in _LITERALS:
            return self._literal(*_LITERALS[token[0]]), False
        return self._number(), False

    def _literal(self, word: bytes, value: object) -> object:
        for letter in word:
            if self._body[self._at] != letter:
                raise JsonSyntaxError("Invalid value.", self._at)
            self._at += 1
        return value

    def _number(self) -> int | float:
        start, body = self._at, self._body
        if body[start + body.startswith(b"-", start)] in b"NI":
            return self._special()
        whole = _INTEGER_PART.match(body, start)
        if not whole:
            raise JsonSyntaxError("Invalid value.", start + body.startswith(b"-", start))
        self._at = whole.end()
        fraction, exponent = b"", b""
        if body.startswith(b".", self._at):
            fraction = self._digits(self._at + 1, "Miss fraction part in number.")
        if body[self._at : self._at + 1] in (b"e", b"E"):
            sign = body[self._at + 1 : self._at + 2]
            exponent = self._digits(self._at + 1 + (sign in (b"+", b"-")), "Miss exponent in number.")
            # Judged by its exponent alone: 0e309 is too big, and 1.5e309 is infinite.
            if sign != b"-" and _is_above(exponent, _LARGEST_EXPONENT + len(fraction)):
                raise JsonSyntaxError(_TOO_BIG, start)
        text = body[start : self._at]
        return float(text) if fraction or exponent else self._whole_number(text, start)

    def _special(self) -> float:
        """Reads NaN or infinity; what is wrong is where the word goes wrong."""
        sign = -1.0 if self._body.startswith(b"-", self._at) else 1.0
        self._at += sign < 0
        if self._body.startswith(b"N", self._at):
            return self._literal(b"NaN", math.nan)
        self._literal(b"Inf", None)
        if self._body.startswith(b"i", self._at):
            self._literal(b"inity", None)
        return sign * math.inf

    def _digits(self, at: int, problem: str) -> bytes:
        digits = _DIGITS.match(self._body, at)
        if not digits:
            raise JsonSyntaxError(problem, at)
        self._at = digits.end()
        return digits.group()

    def _whole_number(self, text: bytes, start: int) -> int | float:
        if len(text) <= 20:  # 64 bits; longer whole numbers count as decimal ones
            return int(text)
        number = float(text)
        if math.isinf(number):
            raise JsonSyntaxError(_TOO_BIG, start)
        return number

    def _string(self) -> str:
        pieces = []
        self._at += 1
        while True:
            plain = _PLAIN.match(self._body, self._at)
            pieces.append(plain.group())
            self._at = plain.end()
            byte = self._body[self._at : self._at + 1]
            if byte == b'"':
                self._at += 1
                return b"".join(pieces).decode("utf-8", "surrogateescape")
            if byte == b"\0":
                raise JsonSyntaxError("Missing a closing quotation mark in string.", self._at)
            if byte != b"\\":
                raise JsonSyntaxError("Invalid escape character in string.", self._at)
            pieces.append(self._escape())

    def _escape(self) -> bytes:
        start = self._at
        letter = self._body[start + 1]
        self._at += 2
        if letter in _ESCAPES:
            return bytes([_ESCAPES[letter]])
        if letter != ord("u"):
            raise JsonSyntaxError("Invalid escape character in string.", start)
        point = self._hex4(start)
        if 0xD800 <= point < 0xDC00:
            if not self._body.startswith(b"\\u", self._at):
                raise JsonSyntaxError("The surrogate pair in string is invalid.", start)
            self._at += 2
            low = self._hex4(start)
            if not 0xDC00 <= low < 0xE000:
                raise JsonSyntaxError("The surrogate pair in string is invalid.", start)
            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
        return chr(point).encode("utf-8", "surrogatepass")

    def _hex4(self, escape_start: int) -> int:
        digits = _HEX4.match(self._body, self._at)
        if not digits:
            raise JsonSyntaxError("Incorrect hex digit after \\u escape in string.", escape_start)
        self._at = digits.end()
        return int(digits.group(), 16)
