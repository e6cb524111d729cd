"""What a mask made of short texts is remembered, and much text is masked beside the event loop."""

import threading
from inspect import isawaitable

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.execution.run import GraphQLRequest, run
from gateway.reading.masking import Allowance, TextMask, mask_text
from gateway.reading.masking.remembered import AWAY, LONGEST_REMEMBERED, MOST_REMEMBERED
from gateway.schema.context import Context
from gateway.viewer import READ, READ_SECRETS, Viewer
from tests.support.asking import DOCUMENTS, NOW
from tests.support.rows import OURS, attempt, batch, delivery, replace


class Recording:
    """A mask that hides the word secret, and what it was asked, in which thread."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: set[int] = set()

    def __call__(self, text: str) -> str:
        self.asked.append(text)
        self.threads.add(threading.get_ident())
        return text.replace("secret", "[masked]")


def test_a_short_text_is_masked_once() -> None:
    mask = TextMask(recording := Recording())
    for _ in range(3):
        assert (mask("a secret"), mask("plain")) == ("a [masked]", "plain")
    assert recording.asked == ["a secret", "plain"]
    assert (mask.known("a secret"), mask.known("plain"), mask.known("new")) == ("a [masked]", "plain", None)


def test_long_texts_are_not_remembered_and_others_not_without_end() -> None:
    mask = TextMask(Recording())
    long = "x" * LONGEST_REMEMBERED + " secret"
    assert mask(long) == "x" * LONGEST_REMEMBERED + " [masked]"
    assert mask.known(long) is None
    texts = [f"secret {number}" for number in range(MOST_REMEMBERED)]
    assert len(mask.hidden(texts)) == MOST_REMEMBERED
    assert mask.known(texts[0]) == "[masked] 0"
    assert mask("one more secret") == "one more [masked]"
    assert mask.known(texts[0]) is None


async def test_only_new_texts_that_are_long_together_are_masked_in_a_thread() -> None:
    mask = TextMask(recording := Recording())
    few = {f"secret {number}" for number in range(10)}
    assert await mask.hidden_beside(few) == {text: text.replace("secret", "[masked]") for text in few}
    assert recording.threads == {threading.get_ident()}
    many = few | {f"secret {'x' * 200} {number}" for number in range(AWAY // 200 + 1)}
    recording.threads.clear()
    assert await mask.hidden_beside(many) == {text: text.replace("secret", "[masked]") for text in many}
    assert threading.get_ident() not in recording.threads
    recording.asked.clear()
    assert await mask.hidden_beside(many) == {text: text.replace("secret", "[masked]") for text in many}
    assert recording.asked == []


def test_a_request_masks_so_much_at_once_and_no_more() -> None:
    allowance = Allowance()
    assert allowance.takes("x" * (AWAY - 10))
    assert not allowance.takes("x" * 11)
    assert allowance.takes("x" * 10)
    assert not allowance.takes("x")
    assert not Allowance().takes({"a": 1})


async def test_what_is_remembered_is_not_counted(database: Database) -> None:
    context = Context.of(Viewer(OURS, frozenset({READ}), "test"), database)
    mask = TextMask(recording := Recording())
    mask("a secret")
    for _ in range(AWAY):
        assert context.unless_secret(mask, "a secret") == "a [masked]"
    assert context.unless_secret(mask, "b secret") == "b [masked]"
    waiting = context.unless_secret(mask, "x" * AWAY)
    assert isawaitable(waiting)
    assert await waiting == "x" * AWAY
    assert len(recording.threads) == 2


PREVIEWS = """query ($id: ID!, $max: Int!) {
  callbackDelivery(id: $id) { attempts { responseBodyPreview(maxBytes: $max) { text truncated byteLength } } }
}"""


async def test_many_previews_are_masked_by_the_plan_and_by_the_ordinary_executor(database: Database) -> None:
    parent = batch(0)
    child = delivery(parent, 0)
    said = [f"{'word ' * 150} token={n}hunter2Xk29 {n}" for n in range(12)]
    rows = [attempt(child, n, attempt_number=n + 1, response_body=text) for n, text in enumerate(said)]
    await replace(
        database, {batches: [parent], batch_callback_deliveries: [child], batch_callback_delivery_attempts: rows}
    )
    shown = {}
    for plans in (True, False):
        for scopes in (frozenset({READ}), frozenset({READ, READ_SECRETS})):
            context = Context.of(Viewer(OURS, scopes, "test"), database, NOW)
            request = GraphQLRequest(PREVIEWS, {"id": child["id"], "max": 900})
            answer = await run(request, DOCUMENTS, context, plans=plans)
            assert answer.planned is plans
            found = answer.body["data"]["callbackDelivery"]["attempts"]
            shown[plans, len(scopes)] = [each["responseBodyPreview"]["text"] for each in found]
    assert shown[True, 2] == shown[False, 2] == said
    assert shown[True, 1] == shown[False, 1] == [mask_text(text) for text in said]
    assert all("[masked]" in text and "hunter2" not in text for text in shown[True, 1])
