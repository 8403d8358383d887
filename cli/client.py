"""Talks to a node over HTTP and turns its problems into errors for people."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx2

from cli.show import Failure

TIMEOUT_S = 60.0


class Client:
    """One node's HTTP interface with one token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    def get(self, path: str, **parameters: Any) -> Any:
        """A JSON answer. Raises Failure."""
        return self.request("GET", path, parameters=parameters).json()

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        **parameters: Any,
    ) -> Any:
        """A JSON answer to a JSON body. Raises Failure."""
        return self.request("POST", path, parameters=parameters, body=body, headers=headers).json()

    def put(self, path: str, body: Any, **parameters: Any) -> Any:
        """A JSON answer to a JSON body. Raises Failure."""
        return self.request("PUT", path, parameters=parameters, body=body).json()

    def request(
        self,
        method: str,
        path: str,
        *,
        parameters: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        content: Iterator[bytes] | None = None,
    ) -> httpx2.Response:
        """An answer with status 2xx. content: a stream in place of a body, for as long as it takes.

        Raises Failure.
        """
        wanted = {name: value for name, value in (parameters or {}).items() if value is not None}
        try:
            if content is None:
                answer = self._http.request(method, path, params=wanted, json=body, headers=headers)
            else:
                answer = self._http.request(
                    method, path, content=content, headers=headers, timeout=None
                )
        except httpx2.HTTPError as error:
            raise _unreached(self.url, error) from None
        if answer.status_code >= 300:
            raise _failure(answer)
        return answer

    def pages(self, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **parameters)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def stream(self, path: str, **parameters: Any) -> Iterator[bytes]:
        """An answer's body in parts, for as long as it takes. Raises Failure."""
        wanted = {name: value for name, value in parameters.items() if value is not None}
        try:
            with self._http.stream("GET", path, params=wanted, timeout=None) as answer:
                if answer.status_code >= 300:
                    answer.read()
                    raise _failure(answer)
                yield from answer.iter_bytes()
        except httpx2.HTTPError as error:
            raise _unreached(self.url, error) from None

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()


def _unreached(url: str, error: httpx2.HTTPError) -> Failure:
    return Failure(
        f"{url} cannot be reached: {error or type(error).__name__}",
        "Is the node running, and the address right?",
        exit_code=3,
    )


def _failure(answer: httpx2.Response) -> Failure:
    try:
        problem = answer.json()
        code = problem.get("code", problem["type"].rpartition(":")[2])
        return Failure(f"{code}: {problem['title']} ({problem['detail']})", problem["remedy"])
    except (ValueError, KeyError, AttributeError):
        return Failure(f"status {answer.status_code} from {answer.url}", "Is this a node?")


def node_options(command: Any) -> Any:
    """--url and --token, also from the environment."""
    command = click.option(
        "--url",
        envvar="CONCORDAT_URL",
        default="http://127.0.0.1:8400",
        show_default=True,
        help="The node's HTTP address. [env: CONCORDAT_URL]",
    )(command)
    return click.option(
        "--token",
        envvar="CONCORDAT_TOKEN",
        default=None,
        help="Bearer token, or @file to read it from. [env: CONCORDAT_TOKEN]",
    )(command)


def connect(url: str, token: str | None) -> Client:
    """A client from the options. Raises Failure."""
    if token is None:
        raise Failure(
            "there is no token", "Give --token or set CONCORDAT_TOKEN; `concordat-node token add`."
        )
    if token.startswith("@"):
        try:
            token = Path(token[1:]).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Failure(f"cannot read {token[1:]}: {error.strerror}", "Check the path.") from None
    return Client(url, token)
