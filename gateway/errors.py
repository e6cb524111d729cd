"""The error tree. Every failure that a client or an operator may see is one of these.

    GatewayError                                code, message
    ├── RequestFailed                           status, errors
    │   ├── InternalError                       500  INTERNAL_ERROR
    │   └── ClientError                         what a request did wrong
    │       ├── BadRequest                      400  BAD_REQUEST
    │       │   ├── BadCursor                   400  BAD_CURSOR
    │       │   │   └── CursorTooOld            400  CURSOR_TOO_OLD
    │       │   └── BadToken                    400  BAD_TOKEN
    │       ├── Unauthorized                    401  UNAUTHORIZED
    │       ├── PermissionDenied                403  PERMISSION_DENIED
    │       ├── EmailNotVerified                403  EMAIL_NOT_VERIFIED
    │       ├── OrganizationMembershipRequired  403  ORGANIZATION_MEMBERSHIP_REQUIRED
    │       ├── RoleUnresolved                  403  ROLE_UNRESOLVED
    │       ├── ImpersonationReadOnly           403  IMPERSONATION_READ_ONLY
    │       ├── NotFound                        404  NOT_FOUND
    │       │   └── BatchNotFound               404  BATCH_NOT_FOUND
    │       ├── MethodNotAllowed                405  METHOD_NOT_ALLOWED
    │       ├── NotAcceptable                   406  NOT_ACCEPTABLE
    │       ├── Conflict                        409  CONFLICT
    │       ├── ValidationFailed                422  VALIDATION_ERROR
    │       ├── UnsupportedMediaType            415  UNSUPPORTED_MEDIA_TYPE
    │       ├── StatementTimeout                504  DEADLINE_EXCEEDED
    │       ├── UnreadableValue                 500  UNREADABLE_VALUE
    │       ├── Unavailable                     503  UNAVAILABLE
    │       │   ├── Overloaded                  503  OVERLOADED
    │       │   ├── KeysUnavailable             503  UNAVAILABLE
    │       │   └── PlatformUnavailable         503  PLATFORM_UNAVAILABLE
    │       ├── AnswerLost                      502  ANSWER_LOST
    │       ├── RateLimited                     429  RATE_LIMITED
    │       ├── SubscriberTooSlow               429  SUBSCRIBER_TOO_SLOW
    │       ├── CrossSiteRequest                403  CROSS_SITE_REQUEST
    │       ├── PersistedQueryNotFound          400  PERSISTED_QUERY_NOT_FOUND
    │       ├── PersistedQueryHashMismatch      400  PERSISTED_QUERY_HASH_MISMATCH
    │       ├── DocumentNotTrusted              400  DOCUMENT_NOT_TRUSTED
    │       ├── OperationNotFound               400  OPERATION_NOT_FOUND
    │       ├── IntrospectionDisabled           400  INTROSPECTION_DISABLED
    │       └── LimitExceeded                   400  with the numbers `limit` and `actual`
    │           ├── AddressLimitExceeded        414  ADDRESS_LIMIT_EXCEEDED
    │           ├── BodyLimitExceeded           413  BODY_LIMIT_EXCEEDED
    │           ├── HeadLimitExceeded           431  HEAD_LIMIT_EXCEEDED
    │           ├── LengthLimitExceeded         400  LENGTH_LIMIT_EXCEEDED
    │           ├── TokenLimitExceeded          400  TOKEN_LIMIT_EXCEEDED
    │           ├── DepthLimitExceeded          400  DEPTH_LIMIT_EXCEEDED
    │           ├── RootFieldLimitExceeded      400  ROOT_FIELD_LIMIT_EXCEEDED
    │           ├── AliasLimitExceeded          400  ALIAS_LIMIT_EXCEEDED
    │           ├── DirectiveLimitExceeded      400  DIRECTIVE_LIMIT_EXCEEDED
    │           ├── SelectionLimitExceeded      400  SELECTION_LIMIT_EXCEEDED
    │           ├── OverlapLimitExceeded        400  OVERLAP_LIMIT_EXCEEDED
    │           ├── VariableLimitExceeded       400  VARIABLE_LIMIT_EXCEEDED
    │           ├── CostLimitExceeded           400  COST_LIMIT_EXCEEDED
    │           ├── ErrorLimitExceeded          400  ERROR_LIMIT_EXCEEDED
    │           ├── StreamLimitExceeded         429  STREAM_LIMIT_EXCEEDED
    │           ├── RequestTimeout              408  REQUEST_TIMEOUT
    │           └── DeadlineExceeded            504  DEADLINE_EXCEEDED
    └── OperatorError                           exit 1: one line on stderr
        ├── DatabaseUnavailable
        ├── SchemaBehind
        ├── ImportRefused
        ├── UnsafeSettings
        ├── TelemetryMissing
        ├── TrustedDocumentsUnreadable
        ├── Uncountable
        └── LeaseLost

Codes are stable, messages may change. The faces translate: REST into its envelope, GraphQL into `extensions.code`, the
command line into one line on stderr.
"""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

WORD_BEGINS = re.compile(r"(?<=[a-z])(?=[A-Z])")


class GatewayError(Exception):
    """What went wrong, in words for the person who can do something about it.

    Its code is the name of its class in capitals, unless the contract has another.
    """

    code: ClassVar[str] = "GATEWAY_ERROR"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" not in vars(cls):
            cls.code = WORD_BEGINS.sub("_", cls.__name__).upper()

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RequestFailed(GatewayError):
    """Why a request has no answer. `errors` are items as Pydantic makes them: `type`, `loc`, `msg`."""

    status: ClassVar[int] = 500

    def __init__(self, message: str, errors: Sequence[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.errors = list(errors) if errors is not None else None

    @property
    def extensions(self) -> dict[str, Any]:
        """What a GraphQL error says beside the message."""
        return {"code": self.code}


class ClientError(RequestFailed):
    """What a request did wrong: shown to the client as it is."""


class BadRequest(ClientError):
    """The request is malformed beyond a single parameter."""

    status = 400


class BadCursor(BadRequest):
    """A cursor that the list it is passed to did not give."""


class CursorTooOld(BadCursor):
    """So much has changed behind the cursor that a subscription cannot go on from there."""


class BadToken(BadRequest):
    """A token or a link that the gateway did not give, not to this viewer, not for this, or too long ago."""


class Unauthorized(ClientError):
    """No credential, or one that is unknown, revoked or expired."""

    status = 401

    def __init__(self, message: str = "A credential is needed: send `Authorization: Bearer <key>`.") -> None:
        super().__init__(message)


class PermissionDenied(ClientError):
    """The credential lacks the scope."""

    status = 403


class EmailNotVerified(ClientError):
    """The person behind the credential has not confirmed an email address."""

    status = 403


class OrganizationMembershipRequired(ClientError):
    """The credential does not belong to the organization that was asked for."""

    status = 403


class RoleUnresolved(ClientError):
    """The membership's role has no scopes assigned."""

    status = 403


class ImpersonationReadOnly(ClientError):
    """A credential that acts for somebody else may not write."""

    status = 403


class NotFound(ClientError):
    """There is nothing at that address."""

    status = 404


class BatchNotFound(NotFound):
    """No such batch, or it belongs to another organization: the two cannot be told apart."""


class MethodNotAllowed(ClientError):
    """The address exists, the method does not."""

    status = 405


class Conflict(ClientError):
    """The state of things contradicts the request."""

    status = 409


class UnreadableValue(ClientError):
    """A stored value is not what its place in the answer holds; it spoils that place alone."""

    code = "UNREADABLE_VALUE"
    status = 500

    def __init__(self, message: str = "The stored value does not fit the field's type.") -> None:
        super().__init__(message)


class ValidationFailed(ClientError):
    """An argument is not what its place expects."""

    code = "VALIDATION_ERROR"
    status = 422


class NotAcceptable(ClientError):
    """The client accepts none of the media types there are."""

    status = 406


class UnsupportedMediaType(ClientError):
    """The body is in a format that is not read."""

    status = 415


class RateLimited(ClientError):
    """Too many requests from one credential. `retry_after` is in whole seconds, where it is known."""

    status = 429

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def extensions(self) -> dict[str, Any]:
        """The code, and how long to wait."""
        known = super().extensions
        return known if self.retry_after is None else {**known, "retryAfter": self.retry_after}


class SubscriberTooSlow(ClientError):
    """A client takes the events of a stream more slowly than they come."""

    status = 429


class CrossSiteRequest(ClientError):
    """A browser sends this on behalf of another site."""

    status = 403


class PersistedQueryNotFound(ClientError):
    """Nobody has sent the document of this hash yet: send it along."""

    status = 400


class PersistedQueryHashMismatch(ClientError):
    """The document's hash is not the one beside it."""

    status = 400


class DocumentNotTrusted(ClientError):
    """Only documents of the manifest are run, and this is none."""

    status = 400


class OperationNotFound(ClientError):
    """Which of the document's operations to run is not clear."""

    status = 400


class IntrospectionDisabled(ClientError):
    """The schema does not describe itself here."""

    status = 400


class LimitExceeded(ClientError):
    """The request is larger than the gateway allows. `actual` is None where nobody counted to the end."""

    status = 400

    def __init__(self, message: str, limit: float, actual: float | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.actual = actual

    @property
    def extensions(self) -> dict[str, Any]:
        """The code and the two numbers."""
        return {**super().extensions, "limit": self.limit, "actual": self.actual}


class BodyLimitExceeded(LimitExceeded):
    """The body has too many bytes."""

    status = 413


class AddressLimitExceeded(LimitExceeded):
    """The address of the request has too many bytes."""

    code = "ADDRESS_LIMIT_EXCEEDED"
    status = 414


class HeadLimitExceeded(LimitExceeded):
    """What comes before the body has too many bytes or headers."""

    code = "HEAD_LIMIT_EXCEEDED"
    status = 431


class LengthLimitExceeded(LimitExceeded):
    """The document has too many characters."""


class TokenLimitExceeded(LimitExceeded):
    """The document has too many tokens or lines."""


class DepthLimitExceeded(LimitExceeded):
    """Selections are nested too deeply."""


class RootFieldLimitExceeded(LimitExceeded):
    """An operation has too many fields at its root."""


class AliasLimitExceeded(LimitExceeded):
    """An operation has too many aliases."""


class DirectiveLimitExceeded(LimitExceeded):
    """An operation has too many directives."""


class SelectionLimitExceeded(LimitExceeded):
    """An operation selects too many things, its fragments counted at each spread."""


class OverlapLimitExceeded(LimitExceeded):
    """Too many fields share a name for the gateway to check that they agree."""


class VariableLimitExceeded(LimitExceeded):
    """The variables hold too many values."""


class CostLimitExceeded(LimitExceeded):
    """The answer might hold too many objects."""


class ErrorLimitExceeded(LimitExceeded):
    """There are more errors than are reported."""


class StreamLimitExceeded(LimitExceeded):
    """There are too many streams: of one credential, or of the whole process."""

    status = 429


class RequestTimeout(LimitExceeded):
    """The body took too long to arrive; the limit is in seconds."""

    status = 408


class DeadlineExceeded(LimitExceeded):
    """The answer took too long; the limit is in seconds."""

    status = 504


class StatementTimeout(ClientError):
    """The database ended a statement that took too long."""

    code = "DEADLINE_EXCEEDED"
    status = 504

    def __init__(
        self, message: str = "The database took too long. Ask for less: fewer rows, a narrower filter."
    ) -> None:
        super().__init__(message)


class Unavailable(ClientError):
    """What has to be asked, mostly the database, does not answer just now; the same request may succeed later: in
    `retry_after` seconds, perhaps."""

    status = 503
    retry_after: ClassVar[int] = 1

    @property
    def extensions(self) -> dict[str, Any]:
        """The code, and how long to wait."""
        return {**super().extensions, "retryAfter": self.retry_after}


class Overloaded(Unavailable):
    """There is more to do than the database can take: refused at once, so that what is under way is answered."""


class KeysUnavailable(Unavailable):
    """Nobody can tell whether a token is good: the keys that sign tokens were never read."""

    code = "UNAVAILABLE"
    retry_after = 10  # they are not asked for more often

    def __init__(self, message: str = "The keys that sign tokens cannot be read just now.") -> None:
        super().__init__(message)


class PlatformUnavailable(Unavailable):
    """The platform cannot be asked just now, and was not: nothing was sent to it, or it says that it took nothing."""


class AnswerLost(ClientError):
    """The platform was asked, and what it did is not known: its answer did not come, or was none."""

    status = 502


class InternalError(RequestFailed):
    """Anything unexpected: the client learns nothing but a request id."""


class OperatorError(GatewayError):
    """What a command could not do: one line on stderr, exit 1."""


class DatabaseUnavailable(OperatorError):
    """The database cannot be reached, or its driver is missing."""


class SchemaBehind(OperatorError):
    """The database's schema is not the one this version needs."""


class ImportRefused(OperatorError):
    """A file was not imported; nothing of it was written."""


class UnsafeSettings(OperatorError):
    """The production profile does not start with these settings."""


class TelemetryMissing(OperatorError):
    """Traces are wanted, and what makes them is not installed."""


class TrustedDocumentsUnreadable(OperatorError):
    """The manifest of trusted documents is missing or malformed."""


class Uncountable(OperatorError):
    """Rows hold what their columns' types do not allow, as SQLite lets them: no filter could tell them apart alike."""


class LeaseLost(OperatorError):
    """Another process counts now: what this one has counted is not written."""
