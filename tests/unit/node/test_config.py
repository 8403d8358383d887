"""`node.config`: every wrong key or value is named, with the file and the nearest right one."""

from pathlib import Path

import pytest

from node.config import check_address, load_config
from node.errors import ConfigInvalid

GOOD = '[node]\ndepartment = "housing"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_short_file_has_every_default(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD))
    assert config.node.department == "housing"
    assert config.rpc.tick_ms == 50 and config.http.listen == "127.0.0.1:8400"
    assert config.path(config.node.data) == (tmp_path / "data").resolve()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[node]\n", "node.department is missing"),
        (GOOD + "[nod]\n", "unknown section [nod]; did you mean node?"),
        (GOOD + "[zzz]\n", "known are: node, rpc"),
        (GOOD + "[rpc]\ntick_mss = 3\n", "unknown key rpc.tick_mss; did you mean tick_ms?"),
        (GOOD + '[rpc]\ntick_ms = "3"\n', "rpc.tick_ms = '3' is not an integer"),
        (GOOD + "[rpc]\ntick_ms = true\n", "rpc.tick_ms = True is not an integer"),
        (GOOD + "[rpc]\nlisten = 3\n", "rpc.listen = 3 is not a text"),
        (GOOD + "[rpc]\ntick_ms = 1\n", "rpc.tick_ms = 1 is less than 5"),
        (GOOD + '[http]\nlisten = "8400"\n', "http.listen = '8400' is not host:port"),
        (GOOD + '[http]\nlisten = "a:99999"\n', "is not host:port"),
        (GOOD + '[http]\ntls_key = "k.pem"\n', "belong together"),
        (GOOD + "rpc = 3\n", "unknown key node.rpc"),
        ("rpc = 3\n" + GOOD, "[rpc] is not a table"),
        (GOOD + '[peers]\nabc = "x:1"\n', "peers.abc is not a node id"),
        (GOOD + "[node]\n", "is not TOML"),
        ("\x00", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigInvalid) as refused:
        load_config(path)
    assert said in str(refused.value) and str(path) in str(refused.value)
    assert "concordat-node check" in refused.value.remedy


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="No such file"):
        load_config(tmp_path / "none.toml")


def test_addresses_may_be_ipv6() -> None:
    assert check_address("listen", "[::1]:7400") == ("::1", 7400)
