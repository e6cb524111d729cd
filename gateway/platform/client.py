"""The platform's own endpoint for redeliveries: one request, and what is known of it when it went wrong.

`POST /v1/batches/{batch_id}/callback-redeliveries`, without a body. A request is sent once and never again: what was
not begun raises `PlatformUnavailable`, and what was begun without an answer raises `AnswerLost`.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any

import httpx

from gateway import __version__
from gateway.errors import AnswerLost, PlatformUnavailable
from gateway.platform.pace import Pace
from gateway.settings import PlatformSettings

LARGEST_ANSWER = 64 * 2**20  # bytes; a delivery holds its body and what its receiver answered
SENDING = "send_request_headers.started"  # from here on, the platform may have the request


@dataclass(frozen=True, slots=True)
class PlatformAnswer:
    """What the platform answered, byte for byte."""

    status: int
    media: str | None
    body: bytes
    retry_after: str | None = None


class Platform:
    """The platform as the settings name it; `is_off` where they do not.

    It must be opened on the event loop that asks it. `draining` says that what has many redeliveries to do begins no
    more of them, and `closed` that nobody does.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        self.url = settings.platform_url
        self.scope = settings.platform_scope
        self.most = settings.platform_most
        self.answer_seconds = settings.platform_answer_seconds
        self.look_seconds = settings.platform_look_seconds
        self.pace = Pace(settings.platform_rate, settings.platform_at_once)
        self.draining = False
        self.closed = False
        self._credential = settings.platform_credential
        self._connect_seconds = settings.platform_connect_seconds
        self._client: httpx.AsyncClient | None = None

    @property
    def is_off(self) -> bool:
        """Whether there is no platform to ask."""
        return self.url is None

    def drain(self) -> None:
        """Begin nothing that is one of many."""
        self.draining = True

    def stop(self) -> None:
        """Begin nothing more at all."""
        self.draining = self.closed = True

    async def close(self) -> None:
        """Close what connections there are."""
        self.stop()
        if self._client is not None:
            await self._client.aclose()

    async def redeliver(self, batch_id: str, organization_id: str, token: str) -> PlatformAnswer:
        """Ask for one redelivery, with the viewer's token unless the gateway has a credential of its own.

        Raises `PlatformUnavailable` where nothing was sent, and `AnswerLost` where something was.
        """
        begun = False

        async def note(event: str, _info: Any) -> None:
            nonlocal begun
            begun = begun or event.endswith(SENDING)

        credential = token if self._credential is None else self._credential.get_secret_value()
        headers = {"Authorization": f"Bearer {credential}", "X-Organization-Id": organization_id}
        try:
            async with (
                asyncio.timeout(self._connect_seconds + self.answer_seconds),
                self._opened().stream(
                    "POST",
                    f"{self.url}/v1/batches/{batch_id}/callback-redeliveries",
                    headers=headers,
                    extensions={"trace": note},
                ) as response,
            ):
                return PlatformAnswer(
                    response.status_code,
                    response.headers.get("content-type"),
                    await _body(response),
                    response.headers.get("retry-after"),
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as failure:
            if begun:
                raise AnswerLost("The platform was asked, and no answer came.") from failure
            raise PlatformUnavailable("The platform cannot be reached: nothing was sent to it.") from failure

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    "User-Agent": f"callback-gateway/{__version__}",
                },
                timeout=httpx.Timeout(self.answer_seconds, connect=self._connect_seconds),
                limits=httpx.Limits(max_connections=self.pace.at_once, max_keepalive_connections=self.pace.at_once),
                trust_env=False,  # a ~/.netrc would put another credential in the place of ours
                verify=ssl.create_default_context(),  # the machine's own authorities, as for the keys of tokens
            )
        return self._client


async def _body(response: httpx.Response) -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise AnswerLost("The platform was asked, and answered more than can be read.")
        chunks.append(chunk)
    return b"".join(chunks)
