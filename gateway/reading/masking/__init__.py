"""Secrets in stored URLs and texts, replaced by a visible mask when they are read.

`names`, `tokens` and `hook_hosts` are data: which names are a credential's, what tokens look like, which hosts have
secrets in their URLs. `openings` finds in one pass where in a text one may begin. `named`, `urls` and `text` say what
is masked there, `commands` what no name gives away but its place, and `structured` masks what came from JSON. What was
made of short texts is `remembered`.
"""

from gateway.reading.masking.names import MASK
from gateway.reading.masking.remembered import Allowance, TextMask
from gateway.reading.masking.structured import mask_json
from gateway.reading.masking.text import mask_text
from gateway.reading.masking.urls import mask_host, mask_url

__all__ = ["MASK", "Allowance", "TextMask", "mask_host", "mask_json", "mask_text", "mask_url"]
