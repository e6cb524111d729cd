"""How many secrets are found in their habitats, and how many words of harmless texts are hidden."""

import random
import re
from collections.abc import Iterator

from gateway.reading.masking import MASK, mask_text
from tests.reading.corpus.habitats import HABITATS, HARMLESS, SENTENCES, TOKENS, VALUES, WORDS

LETTERS = {
    "h": "0123456789abcdef",
    "a": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "l": "abcdefghijklmnopqrstuvwxyz0123456789",
}


def secrets() -> Iterator[tuple[str, str]]:
    """300 texts, each with the secret in it."""
    made = 0
    for at in range(len(VALUES)):
        for number, habitat in enumerate(HABITATS):
            if made == 210:
                break
            value = VALUES[(number + at) % len(VALUES)]
            yield habitat.format(*[value] * habitat.count("{}")), value
            made += 1
    for number, (prefix, letters, length) in enumerate(TOKENS):
        choose = random.Random(number)  # noqa: S311
        token = prefix + "".join(choose.choices(LETTERS[letters], k=length - 2)) + ("A7" if letters in "aA" else "a7")
        yield SENTENCES[number % len(SENTENCES)].format(token), token


def harmless() -> Iterator[str]:
    """300 texts without one."""
    for number in range(300):
        template = HARMLESS[number % len(HARMLESS)]
        yield template.format(*[WORDS[(number + number // len(HARMLESS)) % len(WORDS)]] * template.count("{}"))


def leaks(text: str, secret: str) -> bool:
    """Whether six characters of the secret or more can be read."""
    shown = mask_text(text)
    around = text.replace(secret, " ")
    parts = {secret[at : at + 6] for at in range(len(secret) - 5)}
    return any(part in shown and part not in around for part in parts)


def test_98_of_100_secrets_are_found() -> None:
    texts = list(secrets())
    missed = [text for text, secret in texts if leaks(text, secret)]
    assert len(texts) == 300
    assert len(missed) <= 0.02 * len(texts), missed


def test_of_100_harmless_words_99_stay() -> None:
    texts = list(harmless())
    words = sum(len(re.findall(r"\w+", text)) for text in texts)
    hidden = [(text, mask_text(text)) for text in texts if mask_text(text) != text]
    lost = sum(
        len(re.findall(r"\w+", text)) - len(re.findall(r"\w+", shown.replace(MASK, ""))) for text, shown in hidden
    )
    assert len(texts) == 300
    assert lost <= 0.01 * words, hidden


def test_masking_a_masked_habitat_changes_nothing() -> None:
    for text, _ in secrets():
        assert mask_text(mask_text(text)) == mask_text(text)


def test_many_texts_are_masked_as_each_is() -> None:
    texts = [text for text, _ in secrets()] + list(harmless()) + ["", "/hooks/aB3xY9zQ1", "sk_0123456789abc", "\0"]
    for some in (texts, texts[::-1], texts[:7], texts[300:]):
        assert mask_text.hidden(some) == {text: mask_text(text) for text in some if mask_text(text) != text}
