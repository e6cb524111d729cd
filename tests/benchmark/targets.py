"""What is compared with what, and the ratios that are asked of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from tests.benchmark.measure import Lane, Samples, Unit, ratio
from tests.benchmark.servers import CONTESTANTS
from tests.benchmark.table import Sheet, figure


def _lanes(question: str, *servers: str) -> tuple[Lane, ...]:
    return tuple(Lane(server, question) for server in servers)


# The first lane of a part is ours; the others are what it is compared with.
PARTS: dict[str, tuple[Lane, ...]] = {
    "page20": _lanes("page20", "planned", "quiet", "ordinary", "textbook", "handwritten"),
    "masking": (Lane("planned", "masked"), Lane("planned", "unmasked")),
    "one": _lanes("one", "planned", "ordinary", "textbook", "handwritten"),
    "filtered": _lanes("filtered", "planned", "ordinary", "handwritten"),
    "typename": _lanes("typename", "planned", "quiet", "ordinary", "textbook", "constant"),
    "rest50": (*_lanes("rest50", "planned", "ordinary", "fastapi"), Lane("planned", "graph50")),
    "unplannable": _lanes("unplannable", "development", "plain"),
    "unseen": _lanes("unseen", "planned", "plain"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """Our lane by theirs: at least so much in requests/s, at most so much in CPU and time."""

    what: str
    kind: str
    ours: Lane
    theirs: Lane
    unit: Unit
    must: float
    stretch: float | None

    def row(self, samples: Samples) -> list[str]:
        """The target and how far it is reached."""
        measured = ratio(samples[self.ours], samples[self.theirs], self.unit)
        return [
            self.what,
            self.kind,
            self.unit,
            figure(measured),
            *judged(measured, self.must, self.stretch, self.unit),
        ]


def judged(measured: float, must: float, stretch: float | None, unit: Unit) -> list[str]:
    """The columns must, stretch, and what is reached of them."""
    sign, reached = ("≥", measured.__ge__) if unit == "requests/s" else ("≤", measured.__le__)
    result = "stretch" if stretch is not None and reached(stretch) else "must" if reached(must) else "missed"
    return [f"{sign} {must:g}", "" if stretch is None else f"{sign} {stretch:g}", result]


def _both(
    what: str,
    ours: Lane,
    theirs: Lane,
    unit: Unit,
    postgresql: tuple[float, float | None],
    sqlite: tuple[float, float | None],
) -> list[Target]:
    by_kind = {"postgresql": postgresql, "sqlite": sqlite}
    return [Target(what, kind, ours, theirs, unit, *asked) for kind, asked in by_kind.items()]


TARGETS = [
    *_both(
        "page20 against the floor",
        Lane("planned", "page20"),
        Lane("handwritten", "page20"),
        "requests/s",
        (1.35, 1.6),
        (1.0, 1.2),
    ),
    *_both(
        "one against the floor",
        Lane("planned", "one"),
        Lane("handwritten", "one"),
        "requests/s",
        (0.87, 1.0),
        (0.6, 0.8),
    ),
    *_both(
        "a filtered list, another value each time, against the floor",
        Lane("planned", "filtered"),
        Lane("handwritten", "filtered"),
        "requests/s",
        (0.8, 1.0),
        (0.6, 0.8),
    ),
    *_both(
        "{ __typename } against constant bytes",
        Lane("planned", "typename"),
        Lane("constant", "typename"),
        "requests/s",
        (0.35, 0.6),
        (0.35, 0.6),
    ),
    *_both(
        "access log and metrics, on against off, { __typename }",
        Lane("planned", "typename"),
        Lane("quiet", "typename"),
        "requests/s",
        (0.9, 0.95),
        (0.9, 0.95),
    ),
    *_both(
        "access log and metrics, on against off, page20",
        Lane("planned", "page20"),
        Lane("quiet", "page20"),
        "requests/s",
        (0.98, 1.0),
        (0.98, 1.0),
    ),
    *_both(
        "a document never seen before against plain Strawberry",
        Lane("planned", "unseen"),
        Lane("plain", "unseen"),
        "requests/s",
        (1.0, 1.5),
        (1.0, 1.5),
    ),
    *_both(
        "rest50 against FastAPI", Lane("planned", "rest50"), Lane("fastapi", "rest50"), "requests/s", (7, 11), (12, 20)
    ),
    *_both(
        "GraphQL against REST, the same bytes",
        Lane("planned", "graph50"),
        Lane("planned", "rest50"),
        "CPU",
        (1.25, 1.1),
        (1.25, 1.1),
    ),
    *_both(
        "what cannot be planned against plain Strawberry",
        Lane("development", "unplannable"),
        Lane("plain", "unplannable"),
        "time",
        (1.03, None),
        (1.03, None),
    ),
]
TARGET_HEADER = ("what", "database", "ratio of", "measured", "must", "stretch", "reached")


def targets_sheet(samples: Mapping[str, Samples], more: Iterable[list[str]] = ()) -> Sheet:
    """The targets of what was measured, by the kind of database."""
    rows = [
        target.row(samples[target.kind])
        for target in TARGETS
        if {target.ours, target.theirs} <= samples.get(target.kind, {}).keys()
    ]
    return Sheet("Targets: the gateway by the other, median of the rounds", TARGET_HEADER, [*rows, *more])


def figures_sheet(samples: Mapping[str, Samples], ran: Mapping[tuple[str, str], str]) -> Sheet:
    """Every lane; absolute figures are this machine's. `ran` tells how the gateway answers a question."""
    rows = []
    for part, lanes in PARTS.items():
        for kind, measured in samples.items():
            ours = measured.get(lanes[0])
            for lane in lanes if ours else ():
                theirs = measured[lane]
                path = ran.get((kind, lane.question), "") if lane.server == "planned" else ""
                rows.append(
                    [
                        part if lane.question == part else f"{part}: {lane.question}",
                        kind,
                        CONTESTANTS[lane.server].title + (f" ({path})" if path else ""),
                        figure(median(sample.rate for sample in theirs)),
                        figure(median(sample.cpu_ms for sample in theirs)),
                        f"{median(sample.busy for sample in theirs):.0%}",
                        f"{median(sample.client_busy for sample in theirs):.0%}",
                        "" if ours is None or lane is lanes[0] else figure(ratio(ours, theirs, "requests/s")),
                    ]
                )
    header = ("what", "database", "server", "requests/s", "CPU ms/request", "busy", "client busy", "gateway by this")
    return Sheet("Figures: medians of the rounds, one server process", header, rows)
