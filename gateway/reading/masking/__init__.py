"""Secrets in stored URLs and texts, replaced by a visible mask when they are read.

`names`, `tokens` and `hook_hosts` are data: which names are a credential's, what tokens look like, which hosts have
secrets in their URLs. `openings` finds in one pass where in a text one may begin. `named`, `urls` and `text` say what
is masked there, `commands` what no name gives away but its place, and `structured` masks what came from JSON.
"""

from gateway.reading.masking.names import MASK
from gateway.reading.masking.structured import mask_json
from gateway.reading.masking.text import mask_text, mask_texts
from gateway.reading.masking.urls import mask_host, mask_url

AWAY = 16_384  # characters: the worst of them take 10 ms or more, and longer texts are masked beside the event loop


def is_soon(value: object) -> bool:
    """Whether masking a value takes so little that nobody need wait for it elsewhere: a short text."""
    return isinstance(value, str) and len(value) <= AWAY


__all__ = ["AWAY", "MASK", "is_soon", "mask_host", "mask_json", "mask_text", "mask_texts", "mask_url"]
