"""Random documents that fit the schema, each made of its seed and the world it is asked over.

Run `python -m tests.support.random_documents --documents 100000` to ask them of the planned path and of the ordinary
executor.

What makes a document valid is kept while it is written. Fields of one response key must agree: every place of the
answer has a scope, which knows what its keys mean, wherever they were selected. Fragments are written first, each in a
scope of its own, and spread where their scope fits. Variables and fragments that an operation reaches are declared and
printed, no others.

hypothesis-graphql does not come here: its documents have one operation, no variables, fragments or directives, which
121, 25 and 98 of 150 of these have.
"""

import argparse
import asyncio
import gc
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from random import Random, SystemRandom
from tempfile import TemporaryDirectory
from typing import Any, NoReturn
from uuid import uuid4

from graphql import (
    GraphQLBoolean,
    GraphQLField,
    GraphQLInputType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    is_composite_type,
    is_leaf_type,
)

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.execution.documents import Documents
from gateway.execution.run import GraphQLRequest
from gateway.schema.query import schema
from tests.conftest import administer, postgres_database
from tests.support.differential import Tally, compare, context, ordinary, silence
from tests.support.random_inputs import WRONG_VALUES, Inputs, Listed, Name, Pools, Variable, literal
from tests.support.random_rows import World, worlds
from tests.support.rows import OURS, THEIRS
from tests.support.unlimited import unlimited_documents

SCHEMA: GraphQLSchema = schema._schema
FAULTY = 0.2  # of the documents hold something that may be wrong
BESIDE_INTROSPECTION = 0.05  # of the operations: what stands beside it is answered by the ordinary executor alone
DEEPEST = 7
COMPOSITE_WEIGHT = 2.5
WEIGHTS = {
    "exportLink": 0,  # most of its arguments are refused, beside data that is still on its way
    "batches": 10,
    "callbackDeliveries": 10,
    "callbackAttempts": 8,
    "batch": 8,
    "callbackDelivery": 8,
    "callbackStats": 5,
    "node": 5,
    "timeline": 5,
    "byHost": 5,
}
SELECTABLE = ("Batch", "BatchCallbackDelivery", "BatchCallbackDeliveryAttempt")
FRAGMENTS_ON = (
    *SELECTABLE,
    *SELECTABLE,
    "Node",
    "Query",
    "PageInfo",
    "TextPreview",
    "CallbackFailure",
    "CallbackStats",
    "BatchConnection",
    "BatchEdge",
    "BatchCallbackDeliveryConnection",
    "BatchCallbackDeliveryAttemptConnection",
)
ALIASES = ("id", "data", "errors", "on", "null", "true", "query", "self", "None", "__proto__", "x", "y", "statusCode")
VARIABLES = ("first", "id", "filter", "self", "class", "null", "on", "v")
DIRECTIVES = ("skip", "include")
GAPS = (" ", " ", " ", "\n", "\n  ", ", ", " # not a } field\n", " ,\n")
INTROSPECTION = ("__schema { queryType { name } }", '__type(name: "Batch") { kind fields { name } }')
WRONG_NAMES = (None, "", "Nobody")
CURSORS_OF_A_LIST = 3


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a field is: its name and arguments on a type."""

    on: str
    is_object: bool
    name: str
    arguments: tuple[tuple[str, str], ...]

    def agrees(self, other: "Meaning") -> bool:
        """Whether both may stand under one response key: alike, or on objects of which none is both."""
        apart = self.on != other.on and self.is_object and other.is_object
        return apart or (self.name, self.arguments) == (other.name, other.arguments)


@dataclass(slots=True)
class Entry:
    """A response key of a scope: the type of its values, what it means, and the scope below."""

    type: str
    meanings: list[Meaning]
    below: "Scope"


class Scope(dict[str, Entry]):
    """The response keys of one place in an answer."""

    def accepts(self, key: str, type_: str, meaning: Meaning) -> bool:
        """Whether a field may have this response key here."""
        known = self.get(key)
        return known is None or (known.type == type_ and all(meaning.agrees(other) for other in known.meanings))

    def take(self, key: str, type_: str, meaning: Meaning) -> "Scope":
        """Note a field; the scope of what is selected of it."""
        entry = self.setdefault(key, Entry(type_, [], Scope()))
        if meaning not in entry.meanings:
            entry.meanings.append(meaning)
        return entry.below

    def fits(self, other: "Scope") -> bool:
        """Whether all that another scope holds may be selected here, too."""
        for key, entry in other.items():
            if not all(self.accepts(key, entry.type, meaning) for meaning in entry.meanings):
                return False
            if key in self and not self[key].below.fits(entry.below):
                return False
        return True

    def include(self, other: "Scope") -> None:
        """Note all that another scope holds."""
        for key, entry in other.items():
            for meaning in entry.meanings:
                self.take(key, entry.type, meaning)
            self[key].below.include(entry.below)


@dataclass(slots=True)
class Definition:
    """A fragment or an operation: its text, its keys, and what it uses."""

    name: str | None
    on: GraphQLNamedType
    text: str = ""
    scope: Scope = field(default_factory=Scope)
    variables: dict[str, Variable] = field(default_factory=dict)
    spreads: set[str] = field(default_factory=set)


class Author:
    """Writes one document."""

    def __init__(self, pools: Pools, random: Random, schema: GraphQLSchema = SCHEMA) -> None:
        self.schema = schema
        self.pools = pools
        self.random = random
        self.faulty = random.random() < FAULTY
        self.inputs = Inputs(random, pools, self.variable, faulty=self.faulty)
        self.variables: dict[str, Variable] = {}
        self.fragments: dict[str, Definition] = {}
        self.current = Definition(None, schema.type_map["Query"])
        self.fields_left = self.aliases = 0
        self.text, self.chosen, self.operation_name = self.document()

    def request(self) -> GraphQLRequest:
        """The document with variables: others each time."""
        return GraphQLRequest(self.text, self.given(self.chosen), self.operation_name)

    def document(self) -> tuple[str, Definition, str | None]:
        """The text of a document, one of its operations, and what names it."""
        random = self.random
        for number in range(random.choice((0, 0, 0, 1, 1, 2, 3))):
            name = random.choice((f"F{number}", f"fragment{number}", f"__{number}"))
            self.fragments[name] = self.fragment(name)
        count = random.choice((1,) * 9 + (2,))
        names: list[str | None] = [f"Q{number}" for number in range(count)]
        if count == 1 and random.random() < 0.6:
            names = [None]
        operations = [self.operation(name) for name in names]
        chosen = random.choice(operations)
        used = sorted({name for operation in operations for name in self.reached(operation)})
        texts = [self.printed(operation) for operation in operations] + [self.fragments[name].text for name in used]
        random.shuffle(texts)
        named = chosen.name if count > 1 or random.random() < 0.3 else None
        return "\n".join(texts), chosen, random.choice(WRONG_NAMES) if self.inputs.slips(0.04) else named

    def fragment(self, name: str) -> Definition:
        """A fragment, which may spread those before it."""
        on = self.schema.type_map[self.random.choice(FRAGMENTS_ON)]
        self.fields_left = min(int(self.random.expovariate(1 / 4)) + 1, 12)
        self.current = definition = Definition(name, on)
        body = self.selection_set(definition.scope, on, DEEPEST - 3)
        definition.text = f"fragment {name} on {on.name} {body}"
        return definition

    def operation(self, name: str | None) -> Definition:
        """An operation, without its head."""
        on = self.schema.type_map["Query"]
        self.fields_left = min(int(self.random.expovariate(1 / 12)) + 3, 50)
        self.current = definition = Definition(name, on)
        definition.text = self.selection_set(definition.scope, on, 0)
        if self.random.random() < BESIDE_INTROSPECTION:
            definition.text = f"{{ {self.random.choice(INTROSPECTION)} {definition.text[1:]}"
        return definition

    def selection_set(self, scope: Scope, on: GraphQLNamedType, depth: int) -> str:
        """Some selections in braces."""
        random = self.random
        count = random.choice((1, 1, 2, 2, 3) if depth == 0 else (1, 2, 2, 3, 5) if self.fields_left > 0 else (1, 1, 2))
        parts = [self.selection(scope, on, depth) for _ in range(count)]
        gap = random.choice(GAPS)
        return "{" + gap + gap.join(parts) + random.choice((" ", "\n")) + "}"

    def selection(self, scope: Scope, on: GraphQLNamedType, depth: int) -> str:
        """A field, an inline fragment or a spread."""
        roll = self.random.random()
        is_abstract = not isinstance(on, GraphQLObjectType)
        if roll < (0.6 if is_abstract else 0.08) and depth < DEEPEST:
            return self.inline_fragment(scope, on, depth)
        if roll > (0.75 if is_abstract else 0.85) and (spread := self.spread(scope, on)):
            return spread
        return self.field(scope, on, depth)

    def inline_fragment(self, scope: Scope, on: GraphQLNamedType, depth: int) -> str:
        """`... on T {}` for a type that may stand here, or `... {}`."""
        choices: list[str | None] = [on.name]
        if on.name == "Node":
            choices += [*SELECTABLE, *SELECTABLE, None]
        else:
            choices += [None, "Node"] if on.name in SELECTABLE else [None]
        chosen = self.random.choice(choices)
        condition = "" if chosen is None else f" on {chosen}"
        inner = on if chosen is None else self.schema.type_map[chosen]
        return f"...{condition}{self.directives()} {self.selection_set(scope, inner, depth + 1)}"

    def spread(self, scope: Scope, on: GraphQLNamedType) -> str | None:
        """A fragment that fits here; None where there is none."""
        fitting = [
            fragment
            for fragment in self.fragments.values()
            if _meet(fragment.on.name, on.name) and scope.fits(fragment.scope)
        ]
        if not fitting:
            return None
        fragment = self.random.choice(fitting)
        scope.include(fragment.scope)
        self.current.spreads.add(str(fragment.name))
        return f"...{fragment.name}{self.directives()}"

    def field(self, scope: Scope, on: GraphQLNamedType, depth: int) -> str:
        """A field of a type, under a key that no other meaning has here; sometimes one that is here already."""
        random = self.random
        known = [(key, entry) for key, entry in scope.items() if any(m.on == on.name for m in entry.meanings)]
        if known and random.random() < 0.12:
            key, entry = random.choice(known)
            meaning = next(meaning for meaning in entry.meanings if meaning.on == on.name)
            self.note(meaning)
        else:
            meaning = self.meaning(on, depth)
            key = random.choice(ALIASES) if random.random() < 0.12 else meaning.name
        type_ = self.type_of(on, meaning.name)
        if not scope.accepts(key, str(type_), meaning):
            self.aliases += 1
            key = f"a{self.aliases}"
        below = scope.take(key, str(type_), meaning)
        self.fields_left -= 1
        alias = "" if key == meaning.name else f"{key}: "
        given = [f"{name}: {text}" for name, text in meaning.arguments]
        random.shuffle(given)
        arguments = f"({', '.join(given)})" if given else ""
        inner = get_named_type(type_)
        text = f"{alias}{meaning.name}{arguments}{self.directives()}"
        return f"{text} {self.selection_set(below, inner, depth + 1)}" if is_composite_type(inner) else text

    def meaning(self, on: GraphQLNamedType, depth: int) -> Meaning:
        """A field of a type with arguments; one that is a leaf where the document is deep or long enough."""
        fields: dict[str, GraphQLField] = getattr(on, "fields", {})
        may_go_on = depth < DEEPEST and self.fields_left > 0
        choices = {
            name: 1 if is_leaf else WEIGHTS.get(name, COMPOSITE_WEIGHT)
            for name, field_ in fields.items()
            if (is_leaf := is_leaf_type(get_named_type(field_.type))) or may_go_on or depth == 0
        }
        is_object = isinstance(on, GraphQLObjectType)
        if not choices or self.random.random() < 0.05:
            return Meaning(on.name, is_object, "__typename", ())
        (name,) = self.random.choices(list(choices), list(choices.values()))
        arguments = self.arguments(name, fields[name])
        return Meaning(on.name, is_object, name, tuple(sorted(arguments.items())))

    def type_of(self, on: GraphQLNamedType, name: str) -> Any:
        """The type of a field's values."""
        return GraphQLNonNull(self.schema.type_map["String"]) if name == "__typename" else on.fields[name].type  # type: ignore[attr-defined]

    def note(self, meaning: Meaning) -> None:
        """Count the variables of a field that is written again as used."""
        for _, text in meaning.arguments:
            for variable in self.variables.values():
                if re.search(rf"\${variable.name}\b", text):
                    self.current.variables[variable.name] = variable

    def arguments(self, on: str, field_: GraphQLField) -> dict[str, str]:
        """Arguments for a field, as they are written."""
        random = self.random
        given: dict[str, str] = {}
        chosen = dict(self.place(on)) if "after" in field_.args and random.random() < 0.5 else {}
        for name, argument in field_.args.items():
            required = isinstance(argument.type, GraphQLNonNull) and argument.default_value is Undefined
            if name in chosen:
                value = self.fixed(argument.type, chosen[name])
            elif required or (not chosen and random.random() < 0.45 and self.is_wanted(name, given)):
                made = self.inputs.argument(on, name, argument.type)
                value = self.argument(argument.type, made, argument.default_value)
            else:
                continue
            given[name] = literal(value, random)
        return given

    def is_wanted(self, name: str, given: dict[str, str]) -> bool:
        """Whether an argument goes with those given: pages from both ends, and cursors of no list, are mistakes."""
        if name == "last" and "first" in given:
            return self.faulty
        return name not in {"after", "before"} or self.faulty

    def place(self, on: str) -> Iterator[tuple[str, Any]]:
        """A place in a known list at the root: all arguments that name it."""
        known = [listed for listed in self.pools.listed if listed.field == on]
        if not known:
            return
        listed = self.random.choice(known)
        alike = [other.cursor for other in known if (other.filter, other.order) == (listed.filter, listed.order)]
        if listed.filter is not None:
            yield "filter", listed.filter
        if listed.order is not None:
            yield "orderBy", listed.order
        ends = self.random.choice((("first", "after"), ("last", "before"), ("after",), ("first", "after", "before")))
        for end in ends:
            size = end in {"first", "last"}
            yield end, self.random.choice((1, 2, 3, 50)) if size else self.random.choice(alike)

    def fixed(self, type_: GraphQLInputType, value: Any) -> Any:
        """A value that must be this one, or a variable that is never absent or null."""
        if self.random.random() < 0.65:
            return value
        return self.variable(
            type_ if isinstance(type_, GraphQLNonNull) else GraphQLNonNull(type_), False, lambda: value
        )

    def argument(self, type_: GraphQLInputType, made: Callable[[bool], Any], default: Any) -> Any:
        """A value, null or a variable for an argument."""
        if self.random.random() < 0.35:
            return self.variable(type_, default is not Undefined, lambda: made(False))
        if not isinstance(type_, GraphQLNonNull) and self.random.random() < 0.04:
            return None
        return made(True)

    def variable(self, type_: GraphQLInputType, has_default: bool, make: Callable[[], Any]) -> Variable:
        """A variable for a place of this type, which may have a default of its own."""
        random = self.random
        declared, strict, needed = type_, isinstance(type_, GraphQLNonNull), False
        if isinstance(type_, GraphQLNonNull):
            if random.random() < 0.5:
                declared, needed = type_.of_type, not has_default
        elif random.random() < 0.25:
            declared = GraphQLNonNull(type_)
        number = len(self.variables)
        name = random.choice(VARIABLES) + (str(number) if number else "")
        variable = Variable(name, declared, needed, strict, make)
        known = [other for other in self.variables.values() if variable.is_like(other)]
        if known and random.random() < 0.15:
            variable = random.choice(known)
        self.variables[variable.name] = self.current.variables[variable.name] = variable
        return variable

    def directives(self) -> str:
        """`@skip` and `@include`, now and then."""
        random = self.random
        if random.random() > 0.07:
            return ""
        chosen = random.sample(DIRECTIVES, random.choice((1, 1, 1, 2)))
        return "".join(f" @{name}(if: {self.condition(name)})" for name in chosen)

    def condition(self, directive: str) -> str:
        """What decides; more often than not the selection stays."""
        random = self.random
        stays = directive == "include"

        def decide() -> bool:
            return stays if random.random() < 0.65 else not stays

        if random.random() < 0.5:
            return json.dumps(decide())
        return f"${self.variable(GraphQLNonNull(GraphQLBoolean), False, decide).name}"

    def reached(self, definition: Definition) -> set[str]:
        """The names of the fragments that a definition spreads, by way of others, too."""
        found: set[str] = set()
        waiting = list(definition.spreads)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.fragments[name].spreads
        return found

    def declared(self, operation: Definition) -> dict[str, Variable]:
        """The variables that an operation uses, by way of fragments, too."""
        found = dict(operation.variables)
        for name in sorted(self.reached(operation)):
            found |= self.fragments[name].variables
        return found

    def printed(self, operation: Definition) -> str:
        """An operation with its head."""
        declared = self.declared(operation).values()
        if not declared and operation.name is None:
            return self.random.choice(("", "query ")) + operation.text
        head = f"query {operation.name or ''}"
        variables = ", ".join(map(self.declaration, declared))
        return f"{head}({variables}) {operation.text}" if variables else f"{head} {operation.text}"

    def declaration(self, variable: Variable) -> str:
        """A variable with its type, and perhaps a default."""
        text = f"${variable.name}: {variable.type}"
        if variable.needed or self.random.random() < 0.25:
            may_be_null = not variable.strict and not isinstance(variable.type, GraphQLNonNull)
            default = None if may_be_null and self.random.random() < 0.15 else self.inputs.sound(variable)
            text += f" = {literal(default, self.random)}"
        return text

    def given(self, operation: Definition) -> dict[str, Any]:
        """Values for the variables of an operation: given, null or absent; a few more that nobody asks for."""
        values: dict[str, Any] = {}
        for variable in self.declared(operation).values():
            roll = self.random.random()
            if self.inputs.slips(0.12):
                values[variable.name] = self.random.choice(WRONG_VALUES)
            elif isinstance(variable.type, GraphQLNonNull):
                if not self.inputs.slips(0.03):
                    values[variable.name] = variable.make()
            elif roll < 0.6:
                values[variable.name] = variable.make()
            elif roll < 0.75 and (not variable.strict or self.inputs.slips()):
                values[variable.name] = None
        if self.random.random() < 0.04:
            values["nobodyAskedFor"] = {"x": [1]}
        return values


def _meet(one: str, other: str) -> bool:
    """Whether an object may be of both types."""
    return one == other or ("Node" in {one, other} and {one, other} <= {"Node", *SELECTABLE})


@dataclass(slots=True)
class Difference(Exception):
    """Two answers to one document that differ."""

    place: str
    request: GraphQLRequest
    secrets: bool
    what: str

    def __str__(self) -> str:
        asked = self.request
        return (
            f"{self.place}, secrets {self.secrets}\n{asked.query}\n"
            f"operationName {asked.operation_name!r}, variables {json.dumps(asked.variables)}\n{self.what}"
        )


async def learn(pools: Pools, database: Database, documents: Documents, random: Random) -> None:
    """Ask for the lists at the root in all orders, with and without a filter, and keep the cursors of their rows."""
    inputs = Inputs(random, pools, _no_variable, faulty=False)
    for name, connection in SCHEMA.type_map["Query"].fields.items():  # type: ignore[attr-defined]
        if "after" not in connection.args:
            continue
        filters = [None, inputs.value(connection.args["filter"].type, open_=False)]
        orders = connection.args["orderBy"].type.fields["field"].type.of_type.values
        sorts = [{"field": Name(by), "direction": Name(way)} for by in orders for way in ("ASC", "DESC")]
        for filter_, order in product(filters, (None, *sorts)):
            given = f"filter: {literal(filter_, random)}, orderBy: {literal(order, random)}"
            text = f"{{ {name}(first: 9, {given}) {{ edges {{ cursor }} }} }}"
            told = await ordinary(GraphQLRequest(text), documents, context(database, secrets=True))
            edges = ((json.loads(told.content).get("data") or {}).get(name) or {"edges": ()})["edges"]
            pools.listed += [Listed(name, filter_, order, edge["cursor"]) for edge in edges]


async def ask_over(
    world: World, database: Database, documents: Documents, count: int, seed: int, tally: Tally
) -> AsyncIterator[Difference]:
    """Ask both paths so many documents over a world, and tell where their answers differ."""
    await world.load(database)
    pools = Pools(world.rows)
    await learn(pools, database, documents, Random(f"{seed} {world.name}"))  # noqa: S311 - it keeps no secret
    for number in range(count):
        random = Random(f"{seed} {world.name} {number}")  # noqa: S311
        tally.documents += 1
        if number % 100 == 0:
            gc.collect()
        author, secrets = Author(pools, random), random.random() < 0.5
        organization = OURS if random.random() < 0.95 else THEIRS
        asker = partial(context, database, secrets=secrets, organization=organization)
        for _ in range(random.choice((1, 1, 1, 2))):
            request = author.request()
            what = await compare(request, documents, asker, tally)
            if what is not None:
                yield Difference(f"seed {seed}, world {world.name}, document {number}", request, secrets, what)


async def ask_everywhere(
    database: Database, count: int, seed: int, tally: Tally, tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Difference]:
    """Ask both paths so many documents over all worlds of a database, by turns as in development and in production."""
    gateways = [unlimited_documents(SCHEMA, is_open=is_open, max_errors=10_000) for is_open in (True, False)]
    everywhere = worlds(database.dialect)
    for number, world in enumerate(everywhere):
        started, before = time.perf_counter(), tally.asked
        share = count * (number + 1) // len(everywhere) - count * number // len(everywhere)
        async for difference in ask_over(world, database, gateways[number % 2], share, seed, tally):
            yield difference
        asked, spent = tally.asked - before, time.perf_counter() - started
        tell(f"{database.dialect} {world.name}: {asked:,} asked of both paths, {asked / spent:,.0f} a second; {tally}")


def _no_variable(*_: Any) -> NoReturn:
    raise AssertionError("values without variables are asked for")


@asynccontextmanager
async def fresh(dialect: str) -> AsyncIterator[Database]:
    """A migrated database of its own, which is dropped at the end."""
    with TemporaryDirectory() as folder:
        name = f"gateway_random_{uuid4().hex}"
        if dialect == "postgresql":
            await administer(f'CREATE DATABASE "{name}"')
        database = Database(
            postgres_database(name) if dialect == "postgresql" else f"sqlite+aiosqlite:///{Path(folder)}/gateway.db"
        )
        try:
            await migrate(database)
            yield database
        finally:
            await database.close()
            if dialect == "postgresql":
                await administer(f'DROP DATABASE "{name}" WITH (FORCE)')


async def main(asked: argparse.Namespace) -> int:
    """Ask, print what differs, and return the exit status."""
    tally, differences = Tally(), 0
    dialects = ("sqlite", "postgresql") if asked.database == "both" else (asked.database,)
    _tell(f"seed {asked.seed}")
    for dialect in dialects:
        async with fresh(dialect) as database:
            count = asked.documents // len(dialects)
            async for difference in ask_everywhere(database, count, asked.seed, tally, _tell):
                differences += 1
                _tell(f"\n{difference}\n")
                if differences >= asked.differences:
                    return 1
    _tell(f"{tally}; {differences} answers differ")
    return 1 if differences else 0


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.support.random_documents", description=__doc__)
    parser.add_argument("--documents", type=int, default=3_000, help="how many, over all databases")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--differences", type=int, default=1, help="how many to print before it stops")
    with silence():
        sys.exit(asyncio.run(main(parser.parse_args())))
