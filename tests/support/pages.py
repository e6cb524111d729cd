"""The pages of the frozen endpoint's answer, without a server."""

import json
from typing import Any

from gateway.reading.reader import Reader
from gateway.rest.history import read_page


async def history_pages(reader: Reader, batch_id: str, *, by_column: bool = True) -> list[list[Any]]:
    """All deliveries of a batch, page by page, as parsed JSON; one empty page where there are none."""
    page = await read_page(reader, batch_id, by_column=by_column)
    pages = [json.loads(page.content)]
    while page.end is not None:
        page = await read_page(reader, batch_id, page.end, by_column=by_column)
        pages.append(json.loads(page.content))
    return pages
