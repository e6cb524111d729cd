"""Values that came from JSON: masked by the names in them, and each text by what is in it."""

from typing import Any

from gateway.reading.masking.names import COUNTS, MASK, explains, is_credential
from gateway.reading.masking.text import mask_text

LABELS = ("name", "key", "header", "field")
VALUES = ("value", "val", "content", "data", "default")


def mask_json(value: Any) -> Any:
    """The value without its credentials: an object or array under a credential's name is masked as a whole.

    As many levels deep as Python's JSON reader goes.
    """
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, list):
        return [mask_json(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    labels = (value.get(label) for label in LABELS)
    labelled = any(isinstance(label, str) and is_credential(label) for label in labels)
    return {name: MASK if _hides(name, entry, labelled) else mask_json(entry) for name, entry in value.items()}


def _hides(name: str, entry: Any, labelled: bool) -> bool:
    if entry is None or isinstance(entry, bool) or entry in ("", [], {}):
        return False
    if labelled and name.lower() in VALUES:
        return True
    if not is_credential(name):
        return False
    if isinstance(entry, str):
        return not explains(entry) and not (name.lower() == "key" and is_credential(entry))
    return not (isinstance(entry, int | float) and COUNTS.fullmatch(name))
