"""A callback as a command that repeats it."""

import re
from shlex import quote

from gateway.reading.masking import MASK, mask_url

LONGEST_ARGUMENT = 64 * 1024  # bytes; systems refuse arguments of 128 KiB
# A terminal acts on these when they are pasted, instead of taking them literally.
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
FILE = "payload.json"
SIGN = """\
RUNFLOW_SIGNATURE=$({body} |
  openssl dgst -sha256 -hmac "${{SIGNING_SECRET:?is not set}}" -r | cut -d ' ' -f 1)"""


def as_curl(url: str | None, payload_text: str | None, signed: bool) -> str | None:
    """A command for a POSIX shell that sends this body to this URL once, or None where one of them is missing.

    The URL is masked. A body that is long, or that a terminal would not take literally, is read from a file that is to
    be saved first. Where the callback was signed, the command signs the body with the secret in `SIGNING_SECRET`, and
    sends nothing while that is not set.
    """
    if url is None or payload_text is None:
        return None
    in_file = len(payload_text.encode(errors="replace")) > LONGEST_ARGUMENT or CONTROL.search(payload_text)
    target = mask_url(url)
    lines = []
    if MASK in target:
        lines.append(f"# Replace {MASK} in the URL by what belongs there.")
    if in_file:
        lines.append(f"# Save the payloadBytes of this delivery as {FILE} first, with no line break added.")
    data = f"--data-binary @{FILE}" if in_file else f"--data-raw {quote(payload_text)}"
    if signed:
        lines.append("# Set SIGNING_SECRET to the secret that this callback is signed with.")
        if in_file:
            lines.append(SIGN.format(body=f"cat {FILE}"))
        else:
            lines += [f"CALLBACK_BODY={quote(payload_text)}", SIGN.format(body='printf %s "$CALLBACK_BODY"')]
            data = '--data-raw "$CALLBACK_BODY"'
    options = [
        "curl --request POST",
        "--include --max-time 30 --no-location --globoff --path-as-is --proto '=http,https'",
        "--header 'Content-Type: application/json'",
        *(['--header "Runflow-Signature: ${RUNFLOW_SIGNATURE:?is empty}"'] if signed else []),
        data,
        f"--url {quote(target)}",
    ]
    return "\n".join([*lines, " \\\n  ".join(options)])
