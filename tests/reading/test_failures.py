"""Why a callback failed: known reasons, classes of HTTP status, and what nobody knows."""

import pytest

from gateway.reading.failures import KNOWN_FAILURES, SAME_REASONS, Failure, failure_of

CONTRACT = ("timeout", "connection_refused", "tls_error", "dns_error", "http_4xx", "http_5xx")


def meaning(code: str) -> Failure:
    failure = failure_of(code)
    assert failure is not None
    return failure


@pytest.mark.parametrize("code", CONTRACT)
def test_reasons_of_the_contract_are_known(code: str) -> None:
    assert meaning(code) == KNOWN_FAILURES[code]
    assert meaning(code).retryable is not None


def test_no_code_is_no_failure() -> None:
    assert failure_of(None) is None
    assert failure_of("") is None


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        *(("http_429", True), ("http_503", True), ("http_599", True), ("timeout", True), ("connection_reset", True)),
        *(("http_301", False), ("http_404", False), ("http_418", False), ("dns_error", False), ("cancelled", None)),
    ],
)
def test_retryable_says_whether_the_same_receiver_is_likely_to_accept_it_later(
    code: str, retryable: bool | None
) -> None:
    assert meaning(code).retryable is retryable


def test_status_without_a_text_of_its_own_falls_to_its_class() -> None:
    teapot = meaning("http_418")
    assert teapot.title == "The receiver rejected the callback (HTTP 418)"
    assert teapot.advice == KNOWN_FAILURES["http_4xx"].advice
    assert meaning("http_410").advice != KNOWN_FAILURES["http_4xx"].advice


@pytest.mark.parametrize("code", ["http_200", "http_600", "http_4x", "http_", "quota", "http_4040", "http_٤٠٤"])
def test_unknown_code_is_named_and_not_guessed(code: str) -> None:
    failure = meaning(code)
    assert failure.code == code
    assert failure.title == f"Unknown reason: {code}"
    assert failure.retryable is None
    assert "does not know this code" in failure.advice


@pytest.mark.parametrize("alias", SAME_REASONS)
def test_other_spellings_mean_the_same_and_keep_their_code(alias: str) -> None:
    failure, known = meaning(alias), KNOWN_FAILURES[SAME_REASONS[alias]]
    assert (failure.code, failure.title, failure.advice) == (alias, known.title, known.advice)
    assert meaning("HTTP-404").title == KNOWN_FAILURES["http_404"].title


@pytest.mark.parametrize("code", KNOWN_FAILURES)
def test_every_known_reason_has_a_title_and_advice_in_sentences(code: str) -> None:
    failure = KNOWN_FAILURES[code]
    assert failure.title[0].isupper()
    assert not failure.title.endswith(".")
    assert failure.advice.endswith(".")
    assert failure.advice.count(". ") <= 1
