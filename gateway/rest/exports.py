"""Whole lists as files: `GET /exports/callback-deliveries.csv?filter={"statusCode":{"eq":"failed"}}` and the like.

`filter`, `orderBy` and `fields` are JSON: the first two are the list's own arguments in GraphQL. `after` goes on behind
a row, by its cursor. `link` opens the export that it was signed for, without a credential.
"""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.requests import ClientDisconnect

from gateway.database.engine import Database
from gateway.deadline import Deadline, deadline_of
from gateway.errors import BadToken, ValidationFailed
from gateway.execution.exports import EXPORTED_LISTS, Export
from gateway.http.credentials import Bearer, Credentials, OrganizationHeader
from gateway.http.disconnect import until_disconnect
from gateway.observability.record import exchange
from gateway.rest.downloads import Download, Downloads, Throttle, compressed, takes_gzip
from gateway.rest.endpoint import CLIENT_GONE_STATUS, ERRORS
from gateway.rest.envelope import ErrorResponse
from gateway.schema.context import Context, Links
from gateway.schema.exports import EXPORTS, PURPOSE, ExportFormat
from gateway.viewer import READ, Viewer

MEDIA = {ExportFormat.NDJSON: "application/x-ndjson", ExportFormat.CSV: "text/csv"}
LINKED = "link"  # what operators see of a viewer who has no credential with them
EXAMPLES = {
    "filter": '{"statusCode": {"eq": "failed"}}',
    "orderBy": '{"field": "CREATED_AT", "direction": "DESC"}',
    "fields": '["id", "statusCode"]',
}
LONGEST_JSON = 60_000  # characters of one parameter
EXPORT_ERRORS: dict[int | str, dict[str, Any]] = {
    **{status: shown for status, shown in ERRORS.items() if status != 404},
    429: {"model": ErrorResponse, "description": "There are as many exports under way as there may be."},
    503: {"model": ErrorResponse, "description": "The database does not answer just now."},
}

JsonParameter = Annotated[str | None, Query(max_length=LONGEST_JSON)]
FilterParameter = Annotated[
    JsonParameter, Query(description="Which rows to keep, as JSON: the list's filter in GraphQL.")
]
OrderBy = Annotated[JsonParameter, Query(alias="orderBy", description="In which order, as JSON: the list's own.")]
Fields = Annotated[JsonParameter, Query(description='The names of the rows\' fields, as JSON: `["id","statusCode"]`.')]
AfterParameter = Annotated[str | None, Query(description="The cursor of the row behind which to go on.")]
Link = Annotated[str | None, Query(description="A signed link, in the place of a credential and of what it is for.")]


def router(credentials: Credentials, database: Database, downloads: Downloads, links: Links) -> APIRouter:
    """The routes of exports: each list in each format."""
    routes = APIRouter()
    throttle = Throttle()

    async def viewer_of(
        request: Request, bearer: Bearer, organization: OrganizationHeader = None, link: Link = None
    ) -> tuple[Viewer, dict[str, Any] | None]:
        """Who asks, and what their link is for."""
        if link is None:
            return await credentials.require_viewer(request, bearer, organization), None
        content = links.signer.read(PURPOSE, link)
        viewer = Viewer(content["organization"], frozenset(content["scopes"]), content["credential"])
        viewer.require(READ)
        exchange.get().key = LINKED
        return viewer, content

    def add(name: str, form: ExportFormat) -> None:
        what = f"{name.replace('-', ' ').capitalize()} as {form.name}"

        @routes.get(
            f"{EXPORTS}/{name}.{form.value}",
            operation_id=f"export{name.title().replace('-', '')}As{form.name.capitalize()}",
            summary=what,
            description="All rows that the filter keeps, as they are in GraphQL. The last line says that all has come.",
            tags=["Exports"],
            response_class=Response,
            responses={200: {"content": {MEDIA[form]: {"schema": {"type": "string"}}}}, **EXPORT_ERRORS},
        )
        async def export(
            request: Request,
            who: Annotated[tuple[Viewer, dict[str, Any] | None], Depends(viewer_of)],
            filter: FilterParameter = None,  # noqa: A002
            order_by: OrderBy = None,
            fields: Fields = None,
            after: AfterParameter = None,
        ) -> Response:
            viewer, linked = who
            if linked is not None and linked["list"] != name:
                raise BadToken("The link is for another list.")
            given = linked or {
                "filter": _read("filter", filter),
                "orderBy": _read("orderBy", order_by),
                "fields": _names(_read("fields", fields)),
            }
            asked = Export(name, form, given["filter"], given["orderBy"], given["fields"], after)
            end = downloads.begin(viewer.credential)
            try:
                return await _download(request, asked, Context.of(viewer, database), throttle, end)
            except BaseException:
                end()
                raise

    for name in EXPORTED_LISTS:
        for form in ExportFormat:
            add(name, form)
    return routes


async def _download(
    request: Request, asked: Export, context: Context, throttle: Throttle, end: Callable[[], None]
) -> Response:
    """The answer, once its first page is read: until then, whatever is wrong has a status of its own."""
    pieces = asked.pieces(context, throttle.pause)
    deadline = deadline_of(request.scope)
    metrics = exchange.get().metrics
    try:
        first = await until_disconnect(request.receive, anext(pieces), deadline)
    except ClientDisconnect:
        end()
        return Response(status_code=CLIENT_GONE_STATUS)

    is_whole = False

    async def all_pieces() -> AsyncGenerator[bytes]:
        nonlocal is_whole
        async with aclosing(pieces):
            yield first
            while True:
                try:
                    yield await Deadline(deadline.seconds).run(anext(pieces))
                except StopAsyncIteration:
                    break
        is_whole = True

    def ended() -> None:
        end()
        if metrics is not None:
            metrics.export(asked.name, str(asked.format.value), "complete" if is_whole else "broken", asked.rows)

    file = f"{asked.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{asked.format.value}"
    headers = {"Content-Disposition": f'attachment; filename="{file}"', "Vary": "Accept-Encoding"}
    body = all_pieces()
    if takes_gzip(request.headers.get("accept-encoding", "")):
        body = compressed(body)
        headers["Content-Encoding"] = "gzip"
    return Download(body, ended, MEDIA[asked.format], headers)


def _read(name: str, text: str | None) -> Any:
    """A parameter's JSON; `ValidationFailed` where it is none."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        place = {"type": "json_invalid", "loc": ["query", name], "msg": "Input should be JSON"}
        raise ValidationFailed(f"{name} is not JSON, such as {EXAMPLES[name]}.", [place]) from None


def _names(value: Any) -> list[str] | None:
    if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        raise ValidationFailed(f"fields must be a list of names such as {EXAMPLES['fields']}.")
    return value
