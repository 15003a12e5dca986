"""What a clone and an installed wheel must be: pages that are current, a command that starts anywhere."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.settings_page import page

ROOT = Path(__file__).parents[1]


def test_the_settings_page_is_current() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == page(), "python -m tests.settings_page > docs/settings.md"


@pytest.mark.timeout(300)
def test_the_wheel_works_in_a_clean_environment(tmp_path: Path) -> None:
    """Built, installed beside the dependencies we already have, and run from another directory."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("isthmus-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for part in (
        "federation/__main__.py",
        "isthmus/__main__.py",
        "isthmus/deploy/crds/targets.yaml",
        "isthmus/deploy/policies/sources.yaml",
        "isthmus/deploy/webhook.yaml",
        "isthmus/runner-config/profiles.yaml",
        "lab/engines/kube/go.mod",
    ):
        assert part in names
    venv.create(tmp_path / "clean", with_pip=False, symlinks=True)
    site = next((tmp_path / "clean" / "lib").glob("python3.*")) / "site-packages"
    zipfile.ZipFile(wheel).extractall(site)
    ours = Path(pytest.__file__).parent.parent  # where the dependencies are
    (site / "dependencies.pth").write_text(f"{ours}\n")
    python = tmp_path / "clean" / "bin" / "python"
    script = "import sys, isthmus.__main__ as m; sys.argv = ['isthmus', '--help']; m.main()"
    done = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True, cwd=tmp_path)
    for command in ("agent", "extender", "audit", "bridge", "lab"):
        assert command in done.stdout
    where = subprocess.run(
        [python, "-c", "import federation; print(federation.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert where.stdout.startswith(str(site)), "the wheel's own code was tested, not the checkout's"


def test_an_agent_does_not_load_the_lab() -> None:
    script = (
        "import sys; sys.argv = ['isthmus', 'agent', '--help']\n"
        "import isthmus.__main__ as m\n"
        "try: m.main()\nexcept SystemExit: pass\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('lab', 'bridge', 'gitlab')])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("variable", "value", "program"),
    [("ISTHMUS_AGENT_WORKERS", "many", "agent"), ("ISTHMUS_EXTENDER_PORT", "70000", "extender")],
)
def test_a_wrong_setting_is_named(variable: str, value: str, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isthmus", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={variable: value, "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 2
    assert variable in done.stderr
    assert "Traceback" not in done.stderr
