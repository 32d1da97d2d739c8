"""What the repository promises about itself: commands, locks, documents."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from oneapi import __version__, resources
from oneapi.variables import NOT_HONOURED, REFUSED, VARIABLES
from scripts import interpreters
from scripts.interpreters import Interpreter

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_locks_pin_every_package_by_hash_and_name_no_address(lock: Path) -> None:
    content = lock.read_text("utf-8")
    assert "://" not in content
    for entry in re.split(r"\n(?=\S)", content.strip()):
        assert re.match(r"[\w.-]+==\S+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry


def test_the_program_runs_without_the_packages_that_tiktoken_only_needs_for_downloads() -> None:
    names = set(re.findall(r"^([\w-]+)==", text("requirements/runtime.txt"), re.MULTILINE))
    assert names.isdisjoint({"requests", "urllib3", "idna", "charset-normalizer", "regex"})
    code = (
        "import sys; sys.modules['requests'] = sys.modules['regex'] = None; import tiktoken;"
        "ranks = {bytes([number]): number for number in range(256)};"
        "words = tiktoken.Encoding('t', pat_str=r'.', mergeable_ranks=ranks, special_tokens={});"
        "print(words.encode_ordinary('A'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == "[65]\n"


def test_every_runtime_dependency_has_its_reason() -> None:
    table = text("docs/dependencies.md").partition("\n## ")[0]
    documented = re.findall(r"^\| ([a-z0-9-]+) \|", table, re.MULTILINE)
    wanted = re.findall(r"^([a-z0-9-]+)", text("requirements/runtime.in"), re.MULTILINE)
    assert sorted(name for name in documented if name != "package") == sorted(wanted)


@pytest.mark.parametrize(("readme", "language"), [("README.md", "chinese"), ("README.en.md", "english")])
def test_the_readme_lists_every_setting_as_the_program_describes_it(readme: str, language: str) -> None:
    rows = re.findall(r"^\| `[A-Z_]+` \|.*$", text(readme), re.MULTILINE)
    expected = [
        f"| `{variable.name}` | {variable.kind} | {f'`{variable.default}`' if variable.default else ''} "
        f"| {getattr(variable, language)} |"
        for variable in VARIABLES
    ]
    assert rows == expected


def test_no_variable_is_both_used_and_not_used() -> None:
    names = [variable.name for variable in VARIABLES]
    assert len(set(names)) == len(names)
    assert set(names).isdisjoint({*NOT_HONOURED, *REFUSED})


@pytest.mark.parametrize("readme", ["README.md", "README.en.md"])
def test_the_readme_opens_with_the_two_commands(readme: str) -> None:
    first_block = text(readme).split("```")[1]
    commands = [line.split(" #")[0].strip() for line in first_block.splitlines()[1:] if line]
    assert commands == ["python3 scripts/dev.py serve --port 3000", "python3 scripts/dev.py test"]
    assert "python3 scripts/dev.py test\n" in text(".ci/run")


@pytest.mark.parametrize(
    "document", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda path: path.name
)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


def test_the_newest_changelog_heading_is_the_programs_version() -> None:
    heading = re.search(r"^## \[(.+?)\]", text("CHANGELOG.md"), re.MULTILINE)
    assert heading is not None
    assert heading[1] == __version__


def test_only_config_reads_the_environment() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "oneapi").rglob("*.py")
        if re.search(
            r"\bos\.(environ|getenv)\b|from os import.*\b(environ|getenv)\b", path.read_text("utf-8")
        )
    }
    assert readers == {"oneapi/config.py"}


def test_only_one_module_starts_tasks() -> None:
    spawning = re.compile(r"\.(create_task|ensure_future)\(|\bTaskGroup\(")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "oneapi").rglob("*.py")
        if spawning.search(path.read_text("utf-8"))
    }
    assert found <= {"oneapi/tasks.py"}


def test_data_files_are_found_by_their_name_from_the_root() -> None:
    page = resources.read("web_dist/index.html")
    assert b"One API" in page
    assert resources.path("web_dist/index.html").is_file()
    with pytest.raises(FileNotFoundError):
        resources.read("oneapi/data/no-such-file")


def test_the_page_needs_no_inline_script_or_style_and_nothing_from_elsewhere() -> None:
    page = text("web_dist/index.html")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    for address in re.findall(r"(?:src|href)=\"([^\"]+)\"", page):
        assert address.startswith("/"), "the page is also shown at deeper addresses"
        assert (ROOT / "web_dist" / address[1:]).is_file(), address


def test_the_development_script_refuses_what_it_does_not_know() -> None:
    for words in (["tset"], ["test", "--fats"], []):
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts/dev.py"), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert done.returncode == 1
        assert "serve [options of the program]" in done.stderr


SLOW = Interpreter("/opt/bin/python3", (3, 12, 1), True, True, 0.005)
FAST = Interpreter("/usr/bin/python3", (3, 11, 2), True, True, 0.003)


@pytest.mark.parametrize(
    ("found", "options", "chosen"),
    [
        ([SLOW], {"freezes": True}, SLOW),
        ([SLOW, FAST], {"freezes": False}, FAST),
        ([FAST, SLOW], {"freezes": False}, FAST),
        ([SLOW, FAST._replace(best_s=0.0046)], {"freezes": False}, SLOW),
        ([SLOW, FAST._replace(makes_environments=False)], {"freezes": False}, SLOW),
        ([SLOW, FAST._replace(has_library=False)], {"freezes": True}, SLOW),
        ([SLOW, FAST._replace(has_library=False)], {"freezes": True, "packages": True}, FAST),
        ([FAST._replace(has_library=False), SLOW], {"freezes": True}, SLOW),
        ([SLOW._replace(makes_environments=False)], {"freezes": False}, SLOW),
    ],
    ids=[
        "the only one",
        "another is faster",
        "the running one is faster",
        "a little is not enough",
        "faster without venv",
        "faster, but cannot be frozen",
        "faster, and packages can be added",
        "the running one cannot be frozen",
        "none is complete",
    ],
)
def test_environments_are_made_with_the_fastest_python_that_can(
    found: list[Interpreter], options: dict[str, bool], chosen: Interpreter
) -> None:
    assert interpreters.choose(found, **options)[0].path == chosen.path


def test_the_running_python_is_always_a_candidate_and_what_is_no_python_never(tmp_path: Path) -> None:
    first, *others = interpreters.candidates()
    assert (first.path, first.version) == (sys.executable, sys.version_info[:3])
    assert all(other.version[:2] >= interpreters.OLDEST for other in others)
    assert interpreters.probe(sys.executable)
    assert interpreters.probe("/bin/true" if Path("/bin/true").exists() else "no-such-python") is None
    assert interpreters.probe(str(tmp_path)) is None
