"""What is asked, as whole HTTP requests ready to send: the same bytes go to every server."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from gateway.reading.pages import Cursors, Order
from tests.benchmark.rows import ATTEMPT, BATCH, Layout, identifier, instant

POOL = 2_000  # different requests of one kind
UNSEEN = 100_000  # documents that are asked for once: many more than are remembered
PAGE = 20

DELIVERIES = """callbackDeliveries {
  id statusCode attemptCount callbackUrl createdAt
  attempts { id attemptNumber statusCode responseTimeMs errorMessage }
}"""
PAGE20 = f"""query Page($after: String!) {{
  batches(first: {PAGE}, after: $after) {{
    nodes {{ id statusCode createdAt completedAt {DELIVERIES} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""
ONE = f"query One($id: ID!) {{ batch(id: $id) {{ id statusCode createdAt completedAt {DELIVERIES} }} }}"
FILTERED = f"""query Filtered($until: DateTime!) {{
  callbackDeliveries(first: {PAGE}, filter: {{ createdAt: {{ lt: $until }} }}) {{
    nodes {{ id statusCode attemptCount callbackUrl createdAt }}
    pageInfo {{ hasNextPage }}
  }}
}}"""
TYPENAME = "{ __typename }"
UNPLANNABLE = ONE.replace("{ batch", "{ __schema { queryType { name } } batch", 1)
# What the REST endpoint answers, key by key.
GRAPH50 = """query History($id: ID!) {
  batch(id: $id) {
    callbackDeliveries {
      id batch_id: batchId callback_url: callbackUrl payload_bytes: payloadBytes
      payload {
        event batch_id: batchId status output duration_ms: durationMs created_at: createdAt completed_at: completedAt
        metadata
      }
      signing_secret_id: signingSecretId is_automatic: isAutomatic status_code: statusCode
      failure_reason_code: failureReasonCode failure_detail: failureDetail attempt_count: attemptCount
      max_attempts: maxAttempts next_attempt_at: nextAttemptAt created_at: createdAt updated_at: updatedAt
      completed_at: completedAt
      attempts {
        id delivery_id: deliveryId attempt_number: attemptNumber status_code: statusCode response_body: responseBody
        response_time_ms: responseTimeMs error_message: errorMessage created_at: createdAt
      }
    }
  }
}"""
ATTEMPTS = """query Attempts($after: String) {
  callbackAttempts(first: 50, after: $after) { nodes { id attemptNumber statusCode responseTimeMs createdAt } }
}"""
FIRST10 = """query First($ids: [ID!]!) {
  nodes(ids: $ids) { id ... on Batch { callbackDeliveries(first: 10) { id statusCode createdAt } } }
}"""


@dataclass(frozen=True, slots=True)
class Question:
    """One kind of request, with random keys; each request whole."""

    name: str
    requests: list[bytes]


def questions(layout: Layout, key: str, secrets_key: str) -> dict[str, Question]:
    """What the servers are compared by; `unmasked` asks what `masked` asks with the key that sees secrets."""
    usual, wide = _shuffled(layout.usual.numbers), _shuffled(layout.wide.numbers)
    cursors = Cursors.of("batches", None, Order("created_at", descending=True))

    def after(number: int) -> str:
        return cursors.encode((layout.usual.submitted(number), identifier(BATCH, number)))

    ids = [{"id": identifier(BATCH, number)} for number in usual]
    wide_ids = [identifier(BATCH, number) for number in wide]
    pages = [{"after": after(number)} for number in usual if number >= layout.usual.first_batch + PAGE]
    made = [
        Question("page20", [post(PAGE20, key, each) for each in pages]),
        Question("masked", [post(PAGE20, key, each) for each in pages]),
        Question("unmasked", [post(PAGE20, secrets_key, each) for each in pages]),
        Question("one", [post(ONE, key, each) for each in ids]),
        Question("filtered", [post(FILTERED, key, {"until": _between(layout, place)}) for place in range(POOL)]),
        Question("typename", [post(TYPENAME, key)]),
        Question("unseen", [post(f"query Unseen{number} {{ __typename }}", key) for number in range(UNSEEN)]),
        Question("rest50", [get(f"/v1/batches/{id_}/callback", key) for id_ in wide_ids]),
        Question("graph50", [post(GRAPH50, key, {"id": id_}) for id_ in wide_ids]),
        Question("unplannable", [post(UNPLANNABLE, key, each) for each in ids]),
    ]
    return {question.name: question for question in made}


def deep_questions(layout: Layout, key: str) -> dict[str, Question]:
    """The first page and pages behind 9 of 10 rows; the first 10 of few children and of many."""
    cursors = Cursors.of("batch_callback_delivery_attempts", None, Order("created_at", descending=True))
    attempts = layout.usual.first_attempt + layout.usual.all_attempts
    depth = attempts * 9 // 10
    deep = random.Random(1).sample(range(attempts - depth - attempts // 100, attempts - depth), POOL)  # noqa: S311
    few, many = _shuffled(layout.usual.numbers), list(layout.wide.numbers)
    choose = random.Random(2)  # noqa: S311

    def parents(numbers: list[int]) -> dict[str, Any]:
        return {"ids": [identifier(BATCH, number) for number in choose.sample(numbers, PAGE)]}

    made = [
        Question("page at the start", [post(ATTEMPTS, key)]),
        Question(
            "page behind 9 of 10 rows",
            [
                post(ATTEMPTS, key, {"after": cursors.encode((instant(number), identifier(ATTEMPT, number)))})
                for number in deep
            ],
        ),
        Question("first 10 of 10", [post(FIRST10, key, parents(few)) for _ in range(POOL)]),
        Question("first 10 of 5,000", [post(FIRST10, key, parents(many)) for _ in range(POOL)]),
    ]
    return {question.name: question for question in made}


def unique_documents(key: str) -> Iterator[bytes]:
    """Documents that no server has seen, without end."""
    for number in count():
        yield post(f"{{ viewer {{ alias{number}: scopes }} }}", key)


def post(document: str, key: str, variables: Mapping[str, Any] | None = None) -> bytes:
    """A GraphQL request."""
    body = json.dumps({"query": document, "variables": variables or {}}, separators=(",", ":")).encode()
    head = (
        "POST /graphql HTTP/1.1\r\nHost: gateway\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str, key: str) -> bytes:
    """A REST request."""
    return f"GET {path} HTTP/1.1\r\nHost: gateway\r\nAccept: */*\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


def _between(layout: Layout, place: int) -> str:
    """A time among the later half of the usual batches' deliveries, another one for each place."""
    attempts = layout.usual.all_attempts
    return instant(layout.usual.first_attempt + attempts // 2 + place * (attempts // 2) // POOL).isoformat()


def _shuffled(numbers: range) -> list[int]:
    return random.Random(0).sample(numbers, min(POOL, len(numbers)))  # noqa: S311
