"""What `gateway doctor` finds: how much it matters, in a sentence, and the SQL that mends it."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Heaviest first. An error keeps the gateway from serving, or from answering rightly; a warning makes it slow or
    soon an error; an info is good to know."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the gateway needs it. `code` is stable; `sql` are statements to run in this order, each
    by itself, as the owner of the tables; empty where SQL does not mend it."""

    weight: Severity
    code: str
    message: str
    sql: tuple[str, ...] = ()


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Heaviest first, otherwise in the order in which they were found."""
    weights = list(Severity)
    return sorted(findings, key=lambda finding: weights.index(finding.weight))
