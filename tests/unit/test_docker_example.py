"""docker/node.example.toml: it loads, and says every setting with its default."""

import tomllib
from dataclasses import fields
from pathlib import Path

from node.config import SECTIONS, load_config

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "docker" / "node.example.toml"


def test_the_example_loads_and_has_every_setting_with_its_default() -> None:
    config = load_config(EXAMPLE)
    written = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    for name, form in SECTIONS.items():
        assert set(written[name]) == {field.name for field in fields(form)}
        for field in fields(form):
            if (name, field.name) != ("node", "department"):
                assert written[name][field.name] == field.default, f"{name}.{field.name}"
                assert getattr(getattr(config, name), field.name) == field.default
    text = EXAMPLE.read_text(encoding="utf-8")
    for form in SECTIONS.values():
        assert all(field.metadata["meaning"] in text for field in fields(form))


def test_locks_of_the_image_agree_with_the_project() -> None:
    def pins(path: Path) -> dict[str, str]:
        lines = path.read_text(encoding="utf-8").splitlines()
        pairs = [line.split(" ")[0].split("==") for line in lines if "==" in line]
        return {name: version for name, version in pairs if not name.startswith("#")}

    project = pins(ROOT / "requirements.lock")
    for name in ("requirements.lock", "build.lock"):
        image = pins(ROOT / "docker" / name)
        assert image and all(project[each] == version for each, version in image.items())
        assert "://" not in (ROOT / "docker" / name).read_text(encoding="utf-8")
