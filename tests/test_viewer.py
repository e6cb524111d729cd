"""Which organization a credential reads, with which scopes, and what it is refused with."""

import pytest

from gateway.errors import (
    BadRequest,
    ClientError,
    EmailNotVerified,
    ImpersonationReadOnly,
    OrganizationMembershipRequired,
    PermissionDenied,
    RoleUnresolved,
)
from gateway.viewer import READ, READ_SECRETS, Principal, Viewer

ONE, OTHER = "0a000000-0000-4000-8000-000000000001", "0b000000-0000-4000-8000-000000000002"
ALL = frozenset({READ, READ_SECRETS})


def test_the_only_organization_is_chosen_and_else_the_default() -> None:
    assert Principal("jwt:ada", {ONE: ALL}, None).viewer(None).organization_id == ONE
    assert Principal("jwt:ada", {ONE: ALL, OTHER: ALL}, OTHER).viewer(None).organization_id == OTHER
    assert Principal("jwt:ada", {ONE: ALL, OTHER: ALL}, OTHER).viewer(ONE).organization_id == ONE


def test_scopes_of_the_credential_narrow_those_of_the_role() -> None:
    principal = Principal("jwt:ada", {ONE: ALL}, None, scopes=frozenset({READ, "runs:read"}))
    assert principal.viewer(None).scopes == {READ}


@pytest.mark.parametrize(
    ("principal", "asked", "refusal"),
    [
        (Principal("jwt:ada", {ONE: ALL, OTHER: ALL}, None), None, BadRequest),
        (Principal("jwt:ada", {ONE: ALL, OTHER: ALL}, None, email_verified=False), None, BadRequest),
        (Principal("jwt:ada", {}, ONE, email_verified=False), None, EmailNotVerified),
        (Principal("jwt:ada", {ONE: ALL}, None), OTHER, OrganizationMembershipRequired),
        (Principal("jwt:ada", {}, None), None, OrganizationMembershipRequired),
        (Principal("jwt:ada", {ONE: None}, None), None, RoleUnresolved),
    ],
)
def test_a_refusal_says_what_comes_first(principal: Principal, asked: str | None, refusal: type[ClientError]) -> None:
    with pytest.raises(refusal):
        principal.viewer(asked)


def test_a_scope_that_is_missing_is_named() -> None:
    viewer = Viewer(ONE, frozenset({READ}), "ada")
    viewer.require(READ)
    with pytest.raises(PermissionDenied, match=READ_SECRETS):
        viewer.require(READ_SECRETS)


def test_whoever_acts_for_another_may_only_read() -> None:
    viewer = Principal("jwt:ada", {ONE: ALL}, None, impersonated=True).viewer(None)
    viewer.require(READ)
    with pytest.raises(ImpersonationReadOnly):
        viewer.require_write(READ)
    Viewer(ONE, ALL, "ada").require_write(READ)
