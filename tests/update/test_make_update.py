"""`make update` by hand: what a person types, and whether what is printed suffices."""

import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from team import Platform, Team

DOCKERFILE = "docker/Dockerfile"
ANSWERS = ".copier-answers.yml"


@pytest.fixture
def team(start: Callable[..., Team]) -> Team:
    return start()


def test_up_to_date(team: Team) -> None:
    code, said = team.make("update")
    assert code == 0
    assert "Up to date: 999.0.0" in said
    assert not team.status()
    assert not team.log()


def test_a_tree_with_changes_is_left_alone(team: Team, platform: Platform) -> None:
    platform.release("999.1.0")
    (team.folder / "notes.txt").touch()
    code, said = team.make("update")
    assert code != 0
    assert "git status" in said
    assert team.status() == "?? notes.txt\n"


def test_without_conflicts_everything_follows(team: Team, platform: Platform) -> None:
    platform.edit(f"template/{DOCKERFILE}", "FROM", "# The platform's line.\nFROM")
    platform.release("999.1.0")
    team.write("Makefile", team.read("Makefile") + "\n.PHONY: ours\nours:\n")
    code, said = team.make("update")
    assert code == 0
    assert "What 999.1.0 brings." in said
    assert "## 0.1.0" not in said
    assert "# The platform's line." in team.read(DOCKERFILE)
    assert ".PHONY: ours" in team.read("Makefile")
    steps = [line.split()[1:] for line in team.log().splitlines()]
    assert steps[0] == ["lock"]
    assert ["run", "--frozen", "mlops", "graph"] in steps
    assert steps[-1][-1] == "tests/platform"
    team.commit()
    assert team.make("update")[0] == 0
    assert not team.status()


def test_tests_that_fail_are_said(team: Team, platform: Platform) -> None:
    platform.release("999.1.0")
    code, said = team.make("update", PLATFORM_TESTS="1")
    assert code != 0
    assert "failed: mend that first" in said


def test_a_conflict_is_named_and_stops_what_would_run_on_it(team: Team, platform: Platform) -> None:
    file = "pyproject.toml"
    for edit, whose in ((platform.edit, "platform"), (_editor(team), "team")):
        name = f"template/{file}.jinja" if whose == "platform" else file
        edit(name, 'version = "0.1.0"', f'version = "0.1.{len(whose)}"')
    platform.edit("template/dvc.yaml", "stages:", "# The platform's line.\nstages:")
    platform.release("999.1.0")
    team.commit()
    code, said = team.make("update")
    assert code != 0
    assert "What 999.1.0 brings." in said
    assert f"{file}: conflict markers" in said
    assert f"git add {file}" in said
    assert "dvc.yaml" not in said
    assert not team.log()
    for target in ("setup", "pipeline", "test", "lint", "orchestrate", "update", "update-branch"):
        code, said = team.make(target)
        assert code != 0
        assert f"{file}\tconflict markers" in said, target
    assert not team.log()

    # What is printed suffices: the markers go, the file is added, and the rest follows.
    text = team.read(file)
    for marker in ("<<<<<<< before updating\n", "=======\n", ">>>>>>> after updating\n"):
        assert marker in text
        text = text.replace(marker, "")
    (team.folder / file).write_text(text.replace('version = "0.1.8"\n', ""))
    assert "not merged" in team.make("setup")[1]
    team.git(team.folder, "add", file)
    assert team.make("setup", "graph", "test")[0] == 0
    tomllib.loads(team.read(file))


def test_giving_up_leaves_nothing(team: Team, platform: Platform) -> None:
    platform.edit("template/dvc.yaml", "stages:", "# The platform's line.\nstages:")
    (platform.folder / "template" / "added.txt").write_text("new\n")
    platform.release("999.1.0")
    team.write("dvc.yaml", team.read("dvc.yaml").replace("stages:", "# Our line.\nstages:", 1))
    _, said = team.make("update")
    assert (team.folder / "added.txt").exists()
    (command,) = [line for line in said.splitlines() if line.startswith("To give it up: ")]
    command = command.removeprefix("To give it up: ")
    subprocess.run(command, shell=True, cwd=team.folder, check=True, capture_output=True)
    assert not team.status()
    assert not (team.folder / "added.txt").exists()
    assert "v999.0.0" in team.read(ANSWERS)


def test_a_deleted_file_that_was_edited_is_named(team: Team, platform: Platform) -> None:
    for name in (".dockerignore", ".dvcignore"):
        (platform.folder / "template" / name).unlink()
    platform.release("999.1.0")
    team.write(".dockerignore", team.read(".dockerignore") + "ours\n")
    code, said = team.make("update")
    assert code == 0
    assert "git checkout HEAD -- .dockerignore" in said
    assert "HEAD -- .dvcignore" not in said
    team.git(team.folder, "checkout", "HEAD", "--", ".dockerignore")
    assert "ours" in team.read(".dockerignore")


def test_trust_is_asked_for_in_a_line(team: Team, platform: Platform) -> None:
    moves = (
        "  - version: v999.1.0\n    command: touch moved\n    when: \"{{ _stage == 'before' }}\"\n"
    )
    file = platform.folder / "copier.yml"
    file.write_text(file.read_text().replace("_migrations: []\n", f"_migrations:\n{moves}"))
    platform.release("999.1.0")
    code, said = team.make("update")
    assert code != 0
    assert len([line for line in said.splitlines() if "TRUST=1" in line]) == 1
    assert "Traceback" not in said
    assert not team.status()
    assert team.make("update", "TRUST=1")[0] == 0
    assert (team.folder / "moved").exists()


def test_a_template_that_is_away_is_one_line(team: Team, platform: Platform) -> None:
    platform.folder.rename(platform.folder.with_name("elsewhere"))
    code, said = team.make("update")
    assert code != 0
    assert ANSWERS in said
    assert "Traceback" not in said
    assert not team.status()


def test_a_release_by_its_name(team: Team, platform: Platform) -> None:
    for version in ("999.1.0", "999.2.0"):
        platform.release(version)
    code, said = team.make("update", "VERSION=v999.1.0")
    assert code == 0
    assert "What 999.1.0 brings." in said
    assert "999.2.0" not in said
    assert "v999.1.0" in team.read(ANSWERS)
    team.commit()
    assert "Nothing to do" in team.make("update", "VERSION=v999.1.0")[1]
    code, said = team.make("update", "VERSION=v999.9.9")
    assert code != 0
    assert "v999.9.9" in said
    assert "Traceback" not in said


def test_another_answer_needs_no_new_release(team: Team) -> None:
    code, said = team.make("update", "DATA=orchestrator=temporal")
    assert code == 0
    assert "Up to date" not in said
    assert "orchestrator: temporal" in team.read(ANSWERS)
    assert (team.folder / "orchestration/temporal/worker.py").exists()
    assert not (team.folder / "orchestration/airflow/dags.py").exists()
    steps = [line.split()[1:] for line in team.log().splitlines()]
    assert steps[0] == ["lock"]
    assert ["run", "--frozen", "mlops", "graph"] in steps
    assert steps[-1][-1] == "tests/platform"
    team.commit()
    code, said = team.make("update", "DATA=orchestrator=temporal")
    assert code == 0
    assert "Nothing to do" in said
    assert team.make("update", "DATA=components=[batch, dashboard]")[0] == 0
    assert "orchestrator: temporal" in team.read(ANSWERS)
    assert not (team.folder / "stream").exists()
    assert (team.folder / "batch").exists()


def test_another_answer_comes_with_the_latest_release(team: Team, platform: Platform) -> None:
    platform.edit(f"template/{DOCKERFILE}", "FROM", "# The platform's line.\nFROM")
    platform.release("999.1.0")
    code, said = team.make("update", 'DATA=description=Late by "15 minutes"?')
    assert code == 0
    assert "What 999.1.0 brings." in said
    assert "# The platform's line." in team.read(DOCKERFILE)
    assert 'Late by "15 minutes"?' in team.read(ANSWERS)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("orchestrator", "DATA=orchestrator is no NAME=VALUE"),
        ("engine=temporal", "of: components, description, "),
        ("orchestrator=luigi", "orchestrator"),
        ("team=my team", "Type nothing, or one handle"),
    ],
)
def test_what_is_no_answer_is_refused(team: Team, data: str, said: str) -> None:
    code, printed = team.make("update", f"DATA={data}")
    assert code != 0
    assert said in printed
    assert "Traceback" not in printed
    assert not team.status()


def test_a_file_that_is_yours_comes_when_it_begins_and_never_again(
    team: Team, platform: Platform
) -> None:
    begun, gone = "deploy/envs/test/values.yaml", "deploy/envs/prod/values.yaml"
    new = platform.folder / "template" / begun
    new.parent.mkdir()
    new.write_text("replicas: 1\n")
    platform.release("999.1.0")
    (team.folder / gone).unlink()
    team.commit()
    code, said = team.make("update")
    assert code == 0
    assert f"{begun} is new" in said
    assert team.read(begun) == "replicas: 1\n"
    assert not (team.folder / gone).exists()
    team.write(begun, "replicas: 3\n")
    new.write_text("replicas: 2\n")
    platform.release("999.2.0")
    assert team.make("update")[0] == 0
    assert team.read(begun) == "replicas: 3\n"
    (team.folder / begun).unlink()
    team.commit()
    platform.release("999.3.0")
    assert team.make("update")[0] == 0
    assert not (team.folder / begun).exists()


def test_what_began_since_an_older_release_comes_too(start: Callable[..., Team]) -> None:
    team = start("v0.2.2")
    assert team.make("update")[0] == 0
    code, said = team.make("updated")
    assert code == 0
    assert "deploy/envs/prod/values.yaml is new" in said
    assert "# env:" in team.read("deploy/envs/prod/values.yaml")


def test_from_the_oldest_release_by_its_own_command(
    start: Callable[..., Team], platform: Platform, root: Path
) -> None:
    git = platform.git
    oldest = git(platform.folder, "rev-list", "--max-parents=0", "HEAD").strip()
    project = tomllib.loads(git(platform.folder, "show", f"{oldest}:pyproject.toml"))["project"]
    tag = f"v{project['version']}"
    git(platform.folder, "tag", "--force", tag, oldest)
    team = start(tag)
    assert "doctor" not in team.read("Makefile")
    ours = {
        "Makefile": "\n.PHONY: ours\nours:\n\t@echo ours\n",
        "params.yaml": "\nours: 1\n",
        "src/late_flights/model.py": "\nOURS = 1\n",
        ".gitignore": "/ours/\n",
        "notes/ours.md": "ours\n",
    }
    for file, line in ours.items():
        before = team.read(file) if (team.folder / file).exists() else ""
        team.write(file, before + line)
    assert team.make("update")[0] == 0
    assert "v999.0.0" in team.read(ANSWERS)
    for file, line in ours.items():
        assert team.read(file).endswith(line), file
    team.commit()
    code, said = team.make("update")
    assert code == 0
    assert "Up to date" in said


def _editor(team: Team) -> Callable[[str, str, str], None]:
    return Platform(team.folder, team.git).edit
