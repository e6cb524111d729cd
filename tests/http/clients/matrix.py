"""Asks the gateway through Python's `gql`, as `matrix.mjs` does through the others, and prints what came as JSON."""

import asyncio
import json
import sys

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport

QUERY = "query Deliveries($id: ID!) { batch(id: $id) { id callbackDeliveries { id attempts { id } } } }"


async def main(address: str, key: str, batch: str) -> None:
    """One query, one mistake."""
    transport = HTTPXAsyncTransport(url=address, headers={"Authorization": f"Bearer {key}"})
    async with Client(transport=transport) as session:
        data = await session.execute(GraphQLRequest(QUERY, variable_values={"id": batch}))
        codes = []
        try:
            await session.execute(GraphQLRequest(QUERY, variable_values={"id": "nonsense"}))
        except TransportQueryError as failure:
            codes = [error["extensions"]["code"] for error in failure.errors or ()]
    sys.stdout.write(json.dumps({"query": data, "codes": codes}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
