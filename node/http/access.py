"""Who may do what: the bearer token of a request, its role and its scope."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from node.http.problems import Problem
from node.service import Service
from node.tokens import Token


async def service_of(request: Request) -> Service:
    """The node behind this interface."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(service_of)]


def token_of(service: Service, authorization: str) -> Token:
    """The token of a request's header. Raises Problem if there is none, or it has expired."""
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Problem("no-token", "there is no bearer token")
    token = service.tokens.find(secret.strip())
    if token is None:
        raise Problem("unknown-token", "the token is not one of this node's")
    if token.expires_at_ms <= service.node.clock.now_ms():
        raise Problem("expired-token", f"the token {token.name} has expired")
    return token


def check_role(token: Token, roles: tuple[str, ...]) -> None:
    """The token is of one of these roles. Raises Problem."""
    if token.role not in roles:
        allowed = ", ".join(roles)
        raise Problem("wrong-role", f"{token.name} is {token.role}; this takes {allowed}")


def needs(*roles: str) -> Callable[[Request], Awaitable[Token]]:
    """A dependency: a valid token of one of these roles.

    It is a coroutine, as `service_of` is, because others are sent to a thread for each request.
    """

    async def check(request: Request) -> Token:
        authorization = request.headers.get("authorization", "")
        token = token_of(request.app.state.service, authorization)
        check_role(token, roles)
        return token

    return check


APP_ROLES = ("app", "steward")

Reader = Annotated[Token, Depends(needs("app", "steward", "delegate", "auditor", "operator"))]
Steward = Annotated[Token, Depends(needs("steward"))]
Delegate = Annotated[Token, Depends(needs("delegate"))]
App = Annotated[Token, Depends(needs(*APP_ROLES))]
Auditor = Annotated[Token, Depends(needs("auditor", "steward"))]
Operator = Annotated[Token, Depends(needs("operator"))]


def check_scope(token: Token, dataset: str) -> None:
    """The token may be used for this dataset ("publisher/name"). Raises Problem."""
    if token.datasets and dataset not in token.datasets:
        raise Problem("outside-scope", f"{token.name} may use {', '.join(token.datasets)}")
