"""JSON files of one long list, read item by item: the whole of it is never in memory."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TextIO

CHUNK = 1 << 20  # characters
_BLANK = re.compile(r'[ \t\n\r]*')
_BEHIND = re.compile(r'[ \t\n\r,:}\]]')  # what may follow a value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict:
    """An object of a JSON file, for ``object_pairs_hook``.

    Raises:
        ValueError: If a key is there twice, of which one would be lost.
    """
    content = dict(pairs)
    if len(content) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f'the key "{key}" is there twice in one object')
    return content


def read_object(file: TextIO, key: str, take: Callable[[Any], None]) -> dict:
    """Read a JSON object, one list of which is long.

    Args:
        file: Holds nothing else.
        key: Of the long list.
        take: Is given the items of the list, in their order.

    Returns:
        The object, in which that list is empty.

    Raises:
        ValueError: If it is no JSON or no object, or names a key twice. Items may have been taken
            before.
    """
    text = _Text(file)
    pairs = []
    text.skip('{')
    for _ in text.items('}'):
        name = text.value()
        if not isinstance(name, str):
            raise ValueError(f'expected a key, found {name!r}')
        text.skip(':')
        if name == key and text.next() == '[':
            text.skip('[')
            for _ in text.items(']'):
                take(text.value())
            pairs.append((name, []))
        else:
            pairs.append((name, text.value()))
    if text.next():
        raise ValueError('expected one object, found more behind it')
    return unique_keys(pairs)


class _Text:
    """The text of a file from a place on; as much of it is read as is needed."""

    _decode = json.JSONDecoder(object_pairs_hook=unique_keys).raw_decode

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._place = file, '', 0

    def next(self) -> str:
        """The next character that is not blank; '' at the end of the file."""
        while True:
            self._place = _BLANK.match(self._text, self._place).end()
            if self._place < len(self._text) or not self._read_on():
                return self._text[self._place : self._place + 1]

    def skip(self, mark: str) -> None:
        """Go behind the next character, which must be this one."""
        if self.next() != mark:
            raise ValueError(f'expected {mark}, found {self.next()!r}')
        self._place += 1

    def items(self, end: str) -> Iterator[None]:
        """Stop at each item up to the end of a list or object, between them at no comma."""
        if self.next() != end:
            yield
            while self.next() == ',':
                self.skip(',')
                yield
        self.skip(end)

    def value(self) -> Any:
        """The value that begins here; go behind it."""
        self.next()
        while True:
            try:
                value, stop = self._decode(self._text, self._place)
            except json.JSONDecodeError:  # cut off, perhaps, where reading has stopped
                if not self._read_on():
                    raise
                continue
            # A number of which the text so far holds a part, as 1 of 1.5, would be one too.
            if _BEHIND.match(self._text, stop) or not self._read_on():
                self._place = stop
                return value

    def _read_on(self) -> bool:
        """Read more, so much that a value of any length is tried few times; False at the end."""
        rest = self._text[self._place :]
        more = self._file.read(max(CHUNK, len(rest)))
        if more:
            self._text, self._place = rest + more, 0
        return bool(more)
