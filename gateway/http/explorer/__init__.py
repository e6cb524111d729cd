"""The explorer: GraphiQL in the browser, served by the gateway itself and bundled offline from npm.

The bundle lives in `dist/`, which `build.py` makes once; nothing of it is in version control. Where it is missing the
page is Strawberry's own, whose scripts come from a CDN, and it says so at its top.
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from importlib.resources import files
from os import PathLike, stat_result
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent
DIST = FOLDER / "dist"
GALLERY = FOLDER / "gallery"

# Monaco writes style elements and style attributes while it draws, so styles may be inline; scripts may not.
POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "font-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# A worker obeys the policy of its own script, not the page's.
ASSET_POLICY = "default-src 'none'; script-src 'self'; frame-ancestors 'none'"

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='3.5' fill='%23d60590'/%3E%3Cpath d='M4 5.5h8v4H7.5L5.5 11.5V9.5H4z' "
    "fill='%23fff'/%3E%3C/svg%3E"
)

BANNER = (
    '    <p class="cdn-banner" role="status">This explorer is loaded from a CDN and needs internet access. '
    "For the offline one, install the gateway again where npm's registry answers.</p>"
)
BANNER_STYLE = """    <style>
      body { display: flex; flex-direction: column; height: 100vh; }
      #graphiql { flex: 1; min-height: 0; height: auto; }
      .cdn-banner { margin: 0; padding: 8px 16px; background: #fff3cd; color: #664d03; font: 14px sans-serif; }
    </style>"""
INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
CDN_HOSTS = re.compile(r"\b(?:src|href)=\"(https://[^/\"]+)/")

OPERATION = re.compile(r"^\s*(?:query|mutation|subscription)\s+(\w+)", re.MULTILINE)
HASHED = re.compile(r"-[0-9A-Z]{8}\.\w+$")  # The names that esbuild gives: another content has another name.


@dataclass(frozen=True, slots=True)
class GalleryQuestion:
    """One ready question of the gallery. `name` is its operation's; `query` is the whole file, comments included."""

    name: str
    title: str
    description: str
    query: str
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization that the explorer offers by name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ExplorerConfig:
    """What the page is told. An `api_key` here is readable by everyone who may open the page: for demos only.

    `variables` replaces, per operation name, single variables of the gallery's questions.
    """

    endpoint: str = "/graphql"
    assets: str = "/graphql/explorer"
    title: str = "Callback gateway"
    api_key: str = ""
    organization: str = ""
    organizations: tuple[Organization, ...] = ()
    variables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Assets(StaticFiles):
    """The files of `dist/`. Names with a hash in them may be kept forever; without a bundle every name is a 404."""

    async def check_config(self) -> None:
        """Accept a missing folder: the page falls back then, and nothing asks for a file."""

    def file_response(
        self, full_path: "str | PathLike[str]", stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer one file, with how long it may be kept and what a worker made of it may do."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        hashed = HASHED.search(str(full_path)) is not None
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        response.headers["Content-Security-Policy"] = ASSET_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def assets(folder: Path | None = None) -> Assets:
    """The ASGI app that serves the files of a bundle, of the explorer's if no other folder is named."""
    return Assets(directory=folder or DIST, check_dir=False)


def explorer_is_bundled() -> bool:
    """Whether the offline bundle is there."""
    return (DIST / "manifest.json").is_file()


def wants_page(request: Request) -> bool:
    """Whether a GET asks for the page to look at rather than for a query's answer."""
    return "query" not in request.query_params and "text/html" in request.headers.get("accept", "")


class Explorer:
    """Answers browsers that come to the GraphQL endpoint to look at it, with whatever config it has by then."""

    def __init__(self, config: ExplorerConfig | None = None) -> None:
        self.config = config

    def __call__(self, request: Request) -> Response | None:
        """The page, or None for a request that is not for it."""
        return page(self.config) if request.method == "GET" and wants_page(request) else None


@lru_cache
def gallery() -> tuple[GalleryQuestion, ...]:
    """The ready questions, in the order of their files' names."""
    return tuple(read_question(path) for path in sorted(GALLERY.glob("*.graphql")))


def read_question(path: Path) -> GalleryQuestion:
    """Read one file: a comment with the title, one with the description, the operation; its `.json` has variables."""
    query = path.read_text(encoding="utf-8")
    operation = OPERATION.search(query)
    title, description, *_ = query.splitlines()
    if operation is None or not title.startswith("# ") or not description.startswith("# "):
        raise ValueError(f"{path.name} must start with two comment lines and name its operation.")
    defaults = path.with_suffix(".json")
    variables = json.loads(defaults.read_text(encoding="utf-8")) if defaults.is_file() else {}
    return GalleryQuestion(operation[1], title[2:].strip(), description[2:].strip(), query, variables)


def page(config: ExplorerConfig | None = None) -> HTMLResponse:
    """The explorer's page: the offline one, or without a bundle Strawberry's, which needs internet."""
    config = config or ExplorerConfig()
    return offline_page(config) if explorer_is_bundled() else cdn_page(config)


def offline_page(config: ExplorerConfig) -> HTMLResponse:
    """A page without a line of inline script: what it must know is a block of JSON."""
    manifest = json.loads((DIST / "manifest.json").read_text(encoding="utf-8"))
    base = config.assets.rstrip("/")
    told = {
        "title": config.title,
        "endpoint": config.endpoint,
        "apiKey": config.api_key,
        "organization": config.organization,
        "organizations": [{"id": each.id, "name": each.name} for each in config.organizations],
        "workers": {label: f"{base}/{name}" for label, name in manifest["workers"].items()},
        "gallery": [
            {
                "name": question.name,
                "title": question.title,
                "description": question.description,
                "query": question.query,
                "variables": variables_of(question, config),
            }
            for question in gallery()
        ],
    }
    preloads = "".join(f'    <link rel="modulepreload" href="{escape(base)}/{name}">\n' for name in manifest["preload"])
    html = f"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{escape(config.title)}: explorer</title>
    <link rel="icon" href="{ICON}">
    <link rel="stylesheet" href="{escape(base)}/{manifest["style"]}">
{preloads}    <script type="application/json" id="explorer-config">{script_json(told)}</script>
    <script type="module" src="{escape(base)}/{manifest["script"]}"></script>
  </head>
  <body>
    <div id="explorer"><p class="explorer-loading">Loading the explorer …</p></div>
    <noscript><p class="explorer-loading">The explorer needs JavaScript.</p></noscript>
  </body>
</html>
"""
    return respond(html, POLICY)


def cdn_page(config: ExplorerConfig) -> HTMLResponse:
    """Strawberry's page with our first question, key and address written into it, where its text still has the places.

    Its policy allows the hosts that the page itself names, and exactly its own inline script.
    """
    html = (files("strawberry") / "static" / "graphiql.html").read_text(encoding="utf-8")
    headers = {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}
    if config.organization:
        headers["X-Organization-Id"] = config.organization
    endpoint = f"new URL({script_json(config.endpoint)}, location).href"
    html = substitute(html, r"(?<=const fetchURL = )[^;]+", endpoint)
    if headers:
        html = substitute(html, r"(?<=useState\()parameters\.headers", f"parameters.headers || {indented(headers)}")
    for question in gallery()[:1]:
        html = substitute(html, r"(?<=const EXAMPLE_QUERY = )`[^`]*`", script_json(question.query))
        variables = f"parameters.q ? parameters.variables : {indented(variables_of(question, config))}"
        html = substitute(html, r"(?<=useState\()\s*parameters\.variables", variables)
    html = html.replace("<body>", f"<body>\n{BANNER}", 1).replace("</head>", f"{BANNER_STYLE}\n  </head>", 1)
    scripts = [b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in INLINE.findall(html)]
    hosts = " ".join(sorted(set(CDN_HOSTS.findall(html))))
    hashes = " ".join(f"'sha256-{each}'" for each in scripts)
    policy = (
        f"default-src 'none'; script-src {hosts} {hashes}; style-src {hosts} 'unsafe-inline'; connect-src 'self'; "
        f"font-src {hosts} data:; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return respond(html, policy)


def substitute(html: str, pattern: str, replacement: str) -> str:
    """Replace the pattern's first match, or leave the text alone where Strawberry has changed it."""
    return re.sub(pattern, lambda _: replacement, html, count=1)


def variables_of(question: GalleryQuestion, config: ExplorerConfig) -> dict[str, Any]:
    """A question's variables, with the config's in place of the file's."""
    return {**question.variables, **config.variables.get(question.name, {})}


def indented(value: Any) -> str:
    """A value's JSON as GraphiQL's editors show it, as a JavaScript string."""
    return script_json(json.dumps(value, indent=2))


def script_json(value: Any) -> str:
    """JSON that no text in it can break out of its script element, nor out of a JavaScript line."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def respond(html: str, policy: str) -> HTMLResponse:
    """The page with what a browser may and may not do with it. It can hold a key, so nothing keeps it."""
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    return HTMLResponse(html, headers=headers)
