"""Whose rows a statement reads, as of when, and for whose eyes."""

from datetime import datetime

import msgspec


class Visibility(msgspec.Struct, frozen=True):
    """The viewer's organization; the instant that one request calls now, on which depends what is overdue; and whether
    the viewer may see credentials, which a filter must not let others guess."""

    organization: str
    now: datetime
    sees_secrets: bool = False
