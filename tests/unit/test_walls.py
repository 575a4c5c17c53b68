"""Imports go one way: each room may import only what this table allows it."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

# Room -> what it may import of ours, by prefix. The longest matching room rules.
ALLOWED: dict[str, tuple[str, ...]] = {
    "scones": (),
    "scones.__main__": ("scones.cli",),
    "scones.cli": ("scones", "scones.workflow", "scones.cli_cloud", "scones.cli_look",
                   "scones.cli_transform"),
    "scones.cli_look": ("scones.workflow",),
    "scones.cli_transform": ("scones.workflow",),
    "scones.cli_cloud": ("scones.cloud.runtime", "scones.cloud.server", "scones.cloud.settings",
                         "scones.cloud.state.db", "scones.client_env"),
    "scones.testing": ("scones.cloud.runtime", "scones.cloud.settings"),
    "scones.client_env": (),
    "scones.client": (),
    "scones.workflow": ("scones.workflow",),
    "scones.shipped": (),
    "scones.shipped.algorithm": ("scones.shipped.algorithm",),
    "scones.cloud.guest": (),
    "scones.cloud.errors": (),
    "scones.cloud.ports": (),
    "scones.cloud.settings": (),
    "scones.cloud.wire": ("scones.cloud.wire", "scones.cloud.errors", "scones.cloud.ports"),
    "scones.cloud.asl": ("scones.cloud.asl", "scones.cloud.errors", "scones.cloud.ports"),
    "scones.cloud.state": ("scones.cloud.state", "scones.cloud.errors", "scones.cloud.ports"),
    "scones.cloud.workers": ("scones.cloud.workers", "scones.cloud.errors", "scones.cloud.ports",
                             "scones.cloud.state"),
    "scones.cloud.deliveries": ("scones.cloud.deliveries", "scones.cloud.errors", "scones.cloud.ports",
                                "scones.cloud.state"),
    "scones.cloud.auth": ("scones.cloud.wire", "scones.cloud.errors", "scones.cloud.ports",
                          "scones.cloud.settings"),
    "scones.cloud.gateway": ("scones", "scones.cloud.auth", "scones.cloud.wire", "scones.cloud.errors",
                             "scones.cloud.ports", "scones.cloud.settings", "scones.cloud.state"),
    "scones.cloud.gathering": (),
    "scones.cloud.invocations": ("scones.cloud.wire",),
    "scones.cloud.server": ("scones.cloud.gateway", "scones.cloud.gathering", "scones.cloud.invocations",
                            "scones.cloud.wire", "scones.cloud.errors", "scones.cloud.ports",
                            "scones.cloud.settings"),
    "scones.cloud.services": ("scones.cloud.asl", "scones.cloud.state", "scones.cloud.workers",
                              "scones.cloud.deliveries", "scones.cloud.ports", "scones.cloud.errors",
                              "scones.cloud.settings"),
    "scones.cloud.runtime": ("scones.cloud",),
}  # fmt: skip
PURE = ("scones.cloud.wire", "scones.cloud.asl")
IMPURE = {"asyncio", "os", "pathlib", "socket", "time", "sqlite3", "subprocess", "shutil", "tempfile", "io"}


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted((SOURCE / "scones").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def imports(name: str, path: Path) -> set[str]:
    """Absolute names of the modules a file imports, wherever in the file it does."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            found.add(".".join(filter(None, (base, node.module))))
    return found


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def permitted(name: str, target: str) -> bool:
    room = max((r for r in ALLOWED if within(name, r)), key=len)
    if room == "scones.cloud.services":
        own = ".".join(name.split(".")[:4])
        if within(target, own):
            return True
    if target == "scones":
        return "scones" in ALLOWED[room]
    return any(within(target, prefix) for prefix in ALLOWED[room] if prefix != "scones")


@pytest.mark.parametrize(
    ("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_room_imports_only_what_lies_below_it(name: str, path: Path) -> None:
    ours = {target for target in imports(name, path) if target.split(".")[0] == "scones"}
    assert sorted(target for target in ours if not permitted(name, target)) == []


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_touch_no_file_socket_or_clock(room: str) -> None:
    found = {
        f"{name} imports {target}"
        for name, path in modules()
        if within(name, room)
        for target in imports(name, path)
        if target.split(".")[0] in IMPURE
    }
    assert found == set()


def test_only_the_composition_root_and_the_command_line_know_the_runtime() -> None:
    users = {name for name, path in modules() if "scones.cloud.runtime" in imports(name, path)}
    assert users == {"scones.cli_cloud", "scones.testing"}
