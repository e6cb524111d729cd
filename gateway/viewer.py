"""Who asks: one organization, and what the credential may do there."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.errors import (
    BadRequest,
    EmailNotVerified,
    ImpersonationReadOnly,
    OrganizationMembershipRequired,
    PermissionDenied,
    RoleUnresolved,
)

READ = "batches:read"
READ_SECRETS = "batches:read_secrets"
REDELIVER = "batches:redeliver"  # unless the settings name another


class Viewer(msgspec.Struct, frozen=True):
    """A checked credential. `organization_id` is a canonical UUID; `credential` names the key, never its secret."""

    organization_id: str
    scopes: frozenset[str]
    credential: str
    impersonated: bool = False

    def require(self, scope: str) -> None:
        """Raise `PermissionDenied` unless the credential carries the scope."""
        if scope not in self.scopes:
            raise PermissionDenied(f"The credential lacks the scope {scope}.")

    def require_write(self, scope: str) -> None:
        """What everything that changes state requires: `ImpersonationReadOnly` where somebody acts for another."""
        if self.impersonated:
            raise ImpersonationReadOnly("A credential that acts for somebody else may only read.")
        self.require(scope)


@dataclass(frozen=True, slots=True)
class Principal:
    """What a credential says about its holder, before an organization is chosen.

    `memberships` are the scopes in each organization, None where the holder's role is not known here. `scopes`, where
    the credential names any, narrow these. `key_id` is the API key's, None for a token.
    """

    credential: str
    memberships: Mapping[str, frozenset[str] | None]
    default_organization: str | None
    scopes: frozenset[str] | None = None
    email_verified: bool = True
    impersonated: bool = False
    key_id: str | None = None

    def viewer(self, organization_id: str | None) -> Viewer:
        """The viewer in one organization: the one asked for, or the default, or the only one.

        Raises `BadRequest`, `EmailNotVerified`, `OrganizationMembershipRequired` and `RoleUnresolved`, in this order.
        """
        chosen = organization_id or self.default_organization
        if chosen is None and len(self.memberships) > 1:
            raise BadRequest("The credential belongs to several organizations: name one in X-Organization-Id.")
        if not self.email_verified:
            raise EmailNotVerified("The email address behind the credential is not verified.")
        if chosen is None and self.memberships:
            (chosen,) = self.memberships
        if chosen is None or chosen not in self.memberships:
            raise OrganizationMembershipRequired("The credential does not belong to this organization.")
        allowed = self.memberships[chosen]
        if allowed is None:
            raise RoleUnresolved("The role in this organization has no scopes assigned.")
        return Viewer(
            chosen,
            allowed if self.scopes is None else allowed & self.scopes,
            self.credential,
            self.impersonated,
        )
