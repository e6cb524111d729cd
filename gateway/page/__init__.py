"""The deliveries page: what became of callbacks, for people who look rather than query.

Its sources are TypeScript beside this file; `dist/` is their bundle, which the explorer's `build.py` makes once, and
nothing of it is in version control. Its documents are a manifest that the gateway trusts by itself.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from gateway.http.explorer import ICON, assets, respond, script_json

FOLDER = Path(__file__).parent
DIST = FOLDER / "dist"
DOCUMENTS = FOLDER / "documents"
ASSETS_PATH = "/page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
NOT_BUNDLED = (
    "<p>The deliveries page was not bundled when the gateway was installed: install it again where npm's registry "
    "answers. GraphQL and REST are served all the same.</p>"
)


@dataclass(frozen=True, slots=True)
class PageConfig:
    """What the page is told. An `api_key` here is readable by everyone who may open the page: for demos only.

    `explorer` is where the explorer is, None where it is not served. `redelivery_scope` is the scope that a viewer
    needs to have callbacks delivered again, None where the gateway cannot.
    """

    endpoint: str = "/graphql"
    explorer: str | None = None
    api_key: str = ""
    redelivery_scope: str | None = None


class DeliveriesPage:
    """Answers whoever opens the gateway's address, with whatever config it has by then."""

    def __init__(self, config: PageConfig | None = None) -> None:
        self.config = config or PageConfig()

    async def answer(self, _request: Request) -> Response:
        """The page."""
        return page_html(self.config)


def page_is_bundled() -> bool:
    """Whether the bundle is there."""
    return (DIST / "manifest.json").is_file()


def page_assets() -> StaticFiles:
    """The ASGI app to mount at `ASSETS_PATH`."""
    return assets(DIST)


@lru_cache
def documents() -> Mapping[str, str]:
    """The texts of the documents that the page asks, by their SHA-256."""
    texts = (path.read_bytes() for path in sorted(DOCUMENTS.glob("*.graphql")))
    return {hashlib.sha256(text).hexdigest(): text.decode() for text in texts}


def page_html(config: PageConfig) -> HTMLResponse:
    """A page without a line of inline script or style: what it must know is a block of JSON."""
    if not page_is_bundled():
        return respond(_html("", NOT_BUNDLED), POLICY)
    manifest = json.loads((DIST / "manifest.json").read_text(encoding="utf-8"))
    told = {
        "endpoint": config.endpoint,
        "explorer": config.explorer,
        "apiKey": config.api_key,
        "redeliveryScope": config.redelivery_scope,
    }
    preloads = "".join(
        f'    <link rel="modulepreload" href="{ASSETS_PATH}/{escape(name)}">\n' for name in manifest["preload"]
    )
    head = f"""    <link rel="stylesheet" href="{ASSETS_PATH}/{escape(manifest["style"])}">
{preloads}    <script type="application/json" id="page-config">{script_json(told)}</script>
    <script type="module" src="{ASSETS_PATH}/{escape(manifest["script"])}"></script>
"""
    return respond(_html(head, "<noscript><p>The page needs JavaScript.</p></noscript>"), POLICY)


def _html(head: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Callback deliveries</title>
    <link rel="icon" href="{ICON}">
{head}  </head>
  <body>
    <div id="page"></div>
    {body}
  </body>
</html>
"""
