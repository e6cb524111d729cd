"""Why a callback failed, what that means, and what the receiver's owner can do about it."""

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Failure:
    """A reason for failure. `retryable`: whether trying again is likely to succeed with the receiver as it is now.

    None where that cannot be told. Whether the platform will try again is another question: it retries every answer
    but 2xx, every timeout and every connection error until the attempts are used up.
    """

    code: str
    title: str
    retryable: bool | None
    advice: str


KNOWN_FAILURES = {
    failure.code: failure
    for failure in (
        Failure(
            "timeout",
            "The receiver did not answer in time",
            True,
            "Answer 2xx as soon as the body is stored, and do the work afterwards. If attempts keep timing out, look "
            "at the receiver's load.",
        ),
        Failure(
            "connection_refused",
            "Nothing accepts connections at the callback URL",
            True,
            "Check that the receiver is running and listens on the URL's host and port, and that a firewall lets the "
            "platform in.",
        ),
        Failure(
            "connection_reset",
            "The connection was closed before an answer came",
            True,
            "Look for restarts, crashes or a proxy's limits at the receiver at the time of the attempt.",
        ),
        Failure(
            "connection_error",
            "No connection to the receiver came about, or it broke",
            True,
            "Check that the callback URL can be reached from the internet. The attempt's error message says what "
            "happened.",
        ),
        Failure(
            "tls_error",
            "No secure connection came about",
            False,
            "Check the receiver's certificate: not expired, issued for the URL's host name, and sent with its whole "
            "chain. Check also that the server offers TLS 1.2 or newer.",
        ),
        Failure(
            "dns_error",
            "The host name of the callback URL could not be resolved",
            False,
            "Check the host name's spelling and that public DNS has an address for it. Redeliver once it resolves.",
        ),
        Failure(
            "too_many_redirects",
            "The receiver redirected again and again",
            False,
            "Set the callback URL to the address that answers itself, with the right scheme, host and trailing slash.",
        ),
        Failure(
            "invalid_url",
            "The callback URL cannot be called",
            False,
            "Submit batches with a complete https URL. This delivery keeps its own URL and will not succeed.",
        ),
        Failure(
            "url_not_allowed",
            "The platform may not call this address",
            False,
            "Use a URL with a public address: private, local and reserved networks are refused.",
        ),
        Failure(
            "payload_too_large",
            "The callback's body is too large",
            False,
            "Raise the limit on request bodies at the receiver and at proxies before it, or submit smaller batches.",
        ),
        Failure(
            "invalid_response",
            "The receiver's answer is not HTTP",
            False,
            "Check that the URL's port belongs to an HTTP server and that its scheme, http or https, is right.",
        ),
        Failure(
            "attempts_exhausted",
            "Every attempt failed",
            None,
            "Look at the attempts for the cause, remove it, then redeliver by hand.",
        ),
        Failure(
            "cancelled",
            "The delivery was cancelled",
            None,
            "Nobody tries again by itself. Redeliver by hand if the receiver still needs the callback.",
        ),
        Failure(
            "http_3xx",
            "The receiver redirected the callback",
            False,
            "Redirects count as failures. Set the callback URL to the address that the receiver redirects to.",
        ),
        Failure(
            "http_4xx",
            "The receiver rejected the callback",
            False,
            "The response body of the latest attempt usually says why. Correct the receiver, or the callback URL, then "
            "redeliver.",
        ),
        Failure(
            "http_5xx",
            "The receiver failed while it handled the callback",
            True,
            "Look into the receiver's log at the time of the attempt. If every attempt fails alike, it is an error in "
            "the receiver, and redelivering helps once that is corrected.",
        ),
        Failure(
            "http_400",
            "The receiver found the callback malformed",
            False,
            "Check what the receiver expects: a JSON body with eight keys, five of which may be null.",
        ),
        Failure(
            "http_401",
            "The receiver asked for credentials",
            False,
            "Callbacks carry no credentials but their signature. Exempt the callback's route from login, and check "
            "that the receiver verifies Runflow-Signature over the raw body with the current signing secret.",
        ),
        Failure(
            "http_403",
            "The receiver forbids the callback",
            False,
            "Look for a firewall, bot protection or CSRF check before the receiver, and check that it verifies "
            "Runflow-Signature over the raw body with the current signing secret.",
        ),
        Failure(
            "http_404",
            "The receiver does not know this address",
            False,
            "Compare the path of the callback URL with the receiver's routes, and check that the route is deployed.",
        ),
        Failure(
            "http_405",
            "The receiver does not accept POST at this address",
            False,
            "Make the route accept POST, or correct the path or trailing slash of the callback URL.",
        ),
        Failure(
            "http_408",
            "The receiver gave up waiting for the body",
            True,
            "Look at the receiver's load and its limit for reading a request.",
        ),
        Failure(
            "http_409",
            "The receiver reports a conflict",
            False,
            "It may have this callback already: answer 2xx to a body that was handled before.",
        ),
        Failure(
            "http_410",
            "The receiver says that this address is gone",
            False,
            "The endpoint was removed on purpose. Submit batches with the callback URL that replaces it.",
        ),
        Failure(
            "http_413",
            "The callback's body is too large for the receiver",
            False,
            "Raise the limit on request bodies at the receiver and at proxies before it, or submit smaller batches.",
        ),
        Failure(
            "http_415",
            "The receiver does not accept JSON",
            False,
            "Make the route accept Content-Type application/json.",
        ),
        Failure(
            "http_421",
            "The request reached a server that does not serve this host",
            False,
            "Check the virtual hosts and certificates of the proxy before the receiver.",
        ),
        Failure(
            "http_422",
            "The receiver could not accept the body's content",
            False,
            "The response body usually names the field. Accept all eight keys, five of which may be null.",
        ),
        Failure(
            "http_425",
            "The receiver did not want the callback so early",
            True,
            "A later attempt usually succeeds. Otherwise look at the proxy before the receiver.",
        ),
        Failure(
            "http_429",
            "The receiver limits the rate of requests",
            True,
            "Raise the limit for callbacks, or store the body at once and work it off from a queue.",
        ),
        Failure(
            "http_501",
            "The receiver does not support the request",
            False,
            "Make the route accept POST with a JSON body.",
        ),
        Failure(
            "http_502",
            "A proxy got no valid answer from the receiver",
            True,
            "Check that the application behind the proxy runs, and look for crashes at the time of the attempt.",
        ),
        Failure(
            "http_503",
            "The receiver is not available for now",
            True,
            "It is overloaded, in maintenance or restarting. If it stays so, look at its health checks and capacity.",
        ),
        Failure(
            "http_504",
            "The application behind the receiver's proxy did not answer in time",
            True,
            "Answer 2xx as soon as the body is stored, and do the work afterwards.",
        ),
    )
}
SAME_REASONS = {
    "canceled": "cancelled",
    "certificate_error": "tls_error",
    "connect_timeout": "timeout",
    "max_attempts_exceeded": "attempts_exhausted",
    "read_timeout": "timeout",
    "ssl_error": "tls_error",
}
HTTP = re.compile(r"http_([345])([0-9]{2}|xx)")


def failure_of(code: str | None) -> Failure | None:
    """What a `failure_reason_code` means; None without one. `http_418` is read as its class, `http_4xx`.

    The answer has the code as it was given; a code that is not known is answered by saying so.
    """
    if not code:
        return None
    key = code.strip().lower().replace("-", "_")
    if known := KNOWN_FAILURES.get(SAME_REASONS.get(key, key)):
        return replace(known, code=code)
    if http := HTTP.fullmatch(key):
        known = KNOWN_FAILURES[f"http_{http[1]}xx"]
        return replace(known, code=code, title=f"{known.title} (HTTP {http[1]}{http[2]})")
    return Failure(
        code,
        f"Unknown reason: {code}",
        None,
        "The gateway does not know this code of the platform. The status, the response body and the error message of "
        "the delivery's attempts say more.",
    )
