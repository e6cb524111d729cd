"""Masks that remember what they made of short texts, since most texts of a page were on the page before it.

A page of 20 batches with 600 attempts has 97 URLs and one message: to find that all of them are known takes 4 us.
Without this the messages alone take a scan, and the scan's tables push the page's own rows out of the processor's
cache: the page took 5 % more time than without masking.
"""

import asyncio
from collections.abc import Callable, Collection

MOST_REMEMBERED = 10_000  # texts of one mask; then it begins anew
LONGEST_REMEMBERED = 300  # characters
# Characters that are masked on the event loop, of one column or of one request: the worst of so many take 10 ms, a
# thread for plain ones 0.1 ms more than they take by themselves.
AWAY = 4_096


class TextMask:
    """What a text looks like to those who may not see secrets; `among` picks those of many texts that may have any."""

    def __init__(
        self, mask: Callable[[str], str], among: Callable[[Collection[str]], Collection[str]] = lambda texts: texts
    ) -> None:
        self._mask = mask
        self._among = among
        self._plain: set[str] = set()
        self._masked: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """The text with the secrets in it masked."""
        if len(text) > LONGEST_REMEMBERED:
            return self._mask(text)
        known = self.known(text)
        return self.hidden((text,)).get(text, text) if known is None else known

    def known(self, text: str) -> str | None:
        """The same, if it is remembered."""
        return text if text in self._plain else self._masked.get(text)

    def hidden(self, texts: Collection[str]) -> dict[str, str]:
        """What is shown for those of the texts that have a secret in them. It remembers the short ones."""
        found = {text: shown for text in self._among(texts) if (shown := self._mask(text)) != text}
        short = {text for text in texts if len(text) <= LONGEST_REMEMBERED}
        if len(self._plain) + len(self._masked) + len(short) > MOST_REMEMBERED:
            self._plain, self._masked = set(), {}
        if len(short) <= MOST_REMEMBERED:
            self._plain |= short.difference(found)
            self._masked |= {text: shown for text, shown in found.items() if text in short}
        return found

    async def hidden_beside(self, texts: set[str]) -> dict[str, str]:
        """The same, beside the event loop where the texts that are not remembered are long together."""
        unknown = texts - self._plain
        if not unknown:
            return {}
        known = {text: shown for text in unknown if (shown := self._masked.get(text)) is not None}
        unknown.difference_update(known)
        if not unknown:
            return known
        is_long = sum(map(len, unknown)) > AWAY
        return known | (await asyncio.to_thread(self.hidden, unknown) if is_long else self.hidden(unknown))


class Allowance:
    """How much a request may still have masked on the event loop, value by value."""

    def __init__(self) -> None:
        self._left = AWAY

    def takes(self, value: object) -> bool:
        """Whether a value is short enough to be masked at once: a text, whose length is taken off."""
        if not isinstance(value, str) or len(value) > self._left:
            return False
        self._left -= len(value)
        return True
