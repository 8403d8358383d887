"""A department's own system with an HTTP interface: the transport bureau's timetable.

Run as `python -m cli.demo.upstream PORT`; answers `GET /departures` with a JSON array.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

STOPS = ("North Gate", "Cloud Valley", "Jade Screen", "South Gate", "Hot Springs")


def departures() -> list[dict[str, object]]:
    """A day of shuttle buses between five stops."""
    rows = []
    for number, stop in enumerate(STOPS):
        for hour in range(6, 20):
            line = f"S{number + 1}"
            rows.append(
                {
                    "line": line,
                    "stop": stop,
                    "departs": f"{hour:02d}:{(number * 12) % 60:02d}",
                    "seats_free": (hour * 7 + number * 3) % 40,
                    "driver": f"driver {hour}{number}",
                }
            )
    return rows


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path != "/departures":
            self.send_error(404)
            return
        wanted = {name: values[0] for name, values in parse_qs(parts.query).items()}
        rows = [
            row
            for row in departures()
            if all(str(row[name]) == value for name, value in wanted.items() if name in row)
        ]
        body = json.dumps(rows).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()
