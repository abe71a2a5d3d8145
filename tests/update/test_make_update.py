"""`make update` as typed by a developer, who follows only the printed instructions."""

import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from releases import update
from team import Platform, Team

DOCKERFILE = "docker/Dockerfile"
ANSWERS = ".copier-answers.yml"


@pytest.fixture
def team(start: Callable[..., Team]) -> Team:
    return start()


def test_an_up_to_date_repo_is_not_changed(team: Team) -> None:
    code, output = team.make("update")
    assert code == 0
    assert "Up to date: 999.0.0" in output
    assert not team.status()
    assert not team.log()


def test_a_repo_with_uncommitted_changes_is_left_unchanged(team: Team, platform: Platform) -> None:
    platform.release("999.1.0")
    (team.folder / "notes.txt").touch()
    code, output = team.make("update")
    assert code != 0
    assert "git status" in output
    assert team.status() == "?? notes.txt\n"


def test_an_update_without_conflicts_runs_every_step(team: Team, platform: Platform) -> None:
    platform.edit(f"template/{DOCKERFILE}", "FROM", "# The platform's line.\nFROM")
    platform.release("999.1.0")
    team.write("Makefile", team.read("Makefile") + "\n.PHONY: ours\nours:\n")
    code, output = team.make("update")
    assert code == 0
    assert "Changes in 999.1.0." in output
    assert "## 0.1.0" not in output
    assert "# The platform's line." in team.read(DOCKERFILE)
    assert ".PHONY: ours" in team.read("Makefile")
    steps = [line.split()[1:] for line in team.log().splitlines()]
    assert steps[0] == ["lock"]
    assert ["run", "--frozen", "mlops", "graph"] in steps
    assert steps[-1][-1] == "tests/platform"
    team.commit()
    assert team.make("update")[0] == 0
    assert not team.status()


def test_failing_tests_are_reported(team: Team, platform: Platform) -> None:
    platform.release("999.1.0")
    code, output = team.make("update", PLATFORM_TESTS="1")
    assert code != 0
    assert "failed: fix that first" in output


def test_a_conflict_is_reported_and_stops_other_commands(team: Team, platform: Platform) -> None:
    file = "pyproject.toml"
    for edit, owner in ((platform.edit, "platform"), (_editor(team), "team")):
        name = f"template/{file}.jinja" if owner == "platform" else file
        edit(name, 'version = "0.1.0"', f'version = "0.1.{len(owner)}"')
    platform.edit("template/dvc.yaml", "stages:", "# The platform's line.\nstages:")
    platform.release("999.1.0")
    team.commit()
    code, output = team.make("update")
    assert code != 0
    assert "Changes in 999.1.0." in output
    assert f"{file}: conflict markers" in output
    assert f"git add {file}" in output
    assert "dvc.yaml" not in output
    assert not team.log()
    for target in ("setup", "pipeline", "test", "lint", "orchestrate", "update", "update-branch"):
        code, output = team.make(target)
        assert code != 0
        assert f"{file}\tconflict markers" in output, target
    assert not team.log()

    # Following the printed instructions, remove the markers and add the file.
    text = team.read(file)
    for marker in ("<<<<<<< before updating\n", "=======\n", ">>>>>>> after updating\n"):
        assert marker in text
        text = text.replace(marker, "")
    (team.folder / file).write_text(text.replace('version = "0.1.8"\n', ""))
    assert "not merged" in team.make("setup")[1]
    team.git(team.folder, "add", file)
    assert team.make("setup", "graph", "test")[0] == 0
    tomllib.loads(team.read(file))


def test_discarding_an_update_leaves_nothing_behind(team: Team, platform: Platform) -> None:
    platform.edit("template/dvc.yaml", "stages:", "# The platform's line.\nstages:")
    (platform.folder / "template" / "added.txt").write_text("new\n")
    platform.release("999.1.0")
    team.write("dvc.yaml", team.read("dvc.yaml").replace("stages:", "# Our line.\nstages:", 1))
    _, output = team.make("update")
    assert (team.folder / "added.txt").exists()
    (command,) = [line for line in output.splitlines() if line.startswith("To discard it: ")]
    command = command.removeprefix("To discard it: ")
    subprocess.run(command, shell=True, cwd=team.folder, check=True, capture_output=True)
    assert not team.status()
    assert not (team.folder / "added.txt").exists()
    assert "v999.0.0" in team.read(ANSWERS)


def test_a_deleted_file_that_was_edited_is_reported(team: Team, platform: Platform) -> None:
    for name in (".dockerignore", ".dvcignore"):
        (platform.folder / "template" / name).unlink()
    platform.release("999.1.0")
    team.write(".dockerignore", team.read(".dockerignore") + "ours\n")
    code, output = team.make("update")
    assert code == 0
    assert "git checkout HEAD -- .dockerignore" in output
    assert "HEAD -- .dvcignore" not in output
    team.git(team.folder, "checkout", "HEAD", "--", ".dockerignore")
    assert "ours" in team.read(".dockerignore")


def test_trust_is_requested_in_one_line(team: Team, platform: Platform) -> None:
    moves = (
        "  - version: v999.1.0\n    command: touch moved\n    when: \"{{ _stage == 'before' }}\"\n"
    )
    file = platform.folder / "copier.yml"
    file.write_text(file.read_text().replace("_migrations:\n", f"_migrations:\n{moves}", 1))
    platform.release("999.1.0")
    code, output = team.make("update")
    assert code != 0
    assert len([line for line in output.splitlines() if "TRUST=1" in line]) == 1
    assert "Traceback" not in output
    assert not team.status()
    assert team.make("update", "TRUST=1")[0] == 0
    assert (team.folder / "moved").exists()


def test_a_moved_file_is_neither_lost_nor_restored(team: Team, platform: Platform) -> None:
    moves = {"docker/install.sh": "docker/group.sh", "docker/compile.py": "docker/bytecode.py"}
    words = ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/hooks/migrate.py"]
    for old, new in moves.items():
        template = platform.folder / "template"
        (template / old).rename(template / new)
        words += ["--rename", old, new]
    entry = f"  - version: v999.1.0\n    command: {words}\n"
    platform.edit("copier.yml", "_migrations:\n", f"_migrations:\n{entry}")
    platform.release("999.1.0")
    edited, deleted = moves
    (team.folder / deleted).unlink()
    team.write(edited, team.read(edited) + "# Ours.\n")
    code, output = team.make("update", "TRUST=1")
    assert code == 0
    assert team.read(moves[edited]).endswith("# Ours.\n")
    assert f"git checkout HEAD -- {edited}" not in output
    assert not (team.folder / moves[deleted]).exists()
    assert f"- {moves[deleted]} is not added, because you deleted {deleted}" in output
    assert " is new" not in output


def test_an_unreachable_template_is_reported(team: Team, platform: Platform) -> None:
    platform.folder.rename(platform.folder.with_name("elsewhere"))
    code, output = team.make("update")
    assert code != 0
    assert ANSWERS in output
    assert "Traceback" not in output
    assert not team.status()


def test_a_release_can_be_chosen_by_name(team: Team, platform: Platform) -> None:
    for version in ("999.1.0", "999.2.0"):
        platform.release(version)
    code, output = team.make("update", "VERSION=v999.1.0")
    assert code == 0
    assert "Changes in 999.1.0." in output
    assert "999.2.0" not in output
    assert "v999.1.0" in team.read(ANSWERS)
    team.commit()
    assert "Nothing to do" in team.make("update", "VERSION=v999.1.0")[1]
    code, output = team.make("update", "VERSION=v999.9.9")
    assert code != 0
    assert "v999.9.9" in output
    assert "Traceback" not in output


def test_an_answer_can_be_changed_without_a_new_release(team: Team) -> None:
    code, output = team.make("update", "DATA=orchestrator=temporal")
    assert code == 0
    assert "Up to date" not in output
    assert "orchestrator: temporal" in team.read(ANSWERS)
    assert (team.folder / "orchestration/temporal/worker.py").exists()
    assert not (team.folder / "orchestration/airflow/dags.py").exists()
    steps = [line.split()[1:] for line in team.log().splitlines()]
    assert steps[0] == ["lock"]
    assert ["run", "--frozen", "mlops", "graph"] in steps
    assert steps[-1][-1] == "tests/platform"
    team.commit()
    code, output = team.make("update", "DATA=orchestrator=temporal")
    assert code == 0
    assert "Nothing to do" in output
    assert team.make("update", "DATA=components=[batch, dashboard]")[0] == 0
    assert "orchestrator: temporal" in team.read(ANSWERS)
    assert not (team.folder / "stream").exists()
    assert (team.folder / "batch").exists()


def test_changing_an_answer_also_updates_to_the_latest_release(
    team: Team, platform: Platform
) -> None:
    platform.edit(f"template/{DOCKERFILE}", "FROM", "# The platform's line.\nFROM")
    platform.release("999.1.0")
    code, output = team.make("update", 'DATA=description=Late by "15 minutes"?')
    assert code == 0
    assert "Changes in 999.1.0." in output
    assert "# The platform's line." in team.read(DOCKERFILE)
    assert 'Late by "15 minutes"?' in team.read(ANSWERS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("orchestrator", "DATA=orchestrator is not NAME=VALUE"),
        ("engine=temporal", "of: components, description, "),
        ("orchestrator=luigi", "orchestrator"),
        ("team=my team", "Type nothing, or one handle"),
    ],
)
def test_an_invalid_answer_is_refused(team: Team, data: str, message: str) -> None:
    code, output = team.make("update", f"DATA={data}")
    assert code != 0
    assert message in output
    assert "Traceback" not in output
    assert not team.status()


def test_a_new_file_for_the_team_is_added_only_once(team: Team, platform: Platform) -> None:
    added, deleted = "deploy/envs/test/values.yaml", "deploy/envs/prod/values.yaml"
    new = platform.folder / "template" / added
    new.parent.mkdir()
    new.write_text("replicas: 1\n")
    platform.release("999.1.0")
    (team.folder / deleted).unlink()
    team.commit()
    code, output = team.make("update")
    assert code == 0
    assert f"{added} is new" in output
    assert team.read(added) == "replicas: 1\n"
    assert not (team.folder / deleted).exists()
    team.write(added, "replicas: 3\n")
    new.write_text("replicas: 2\n")
    platform.release("999.2.0")
    assert team.make("update")[0] == 0
    assert team.read(added) == "replicas: 3\n"
    (team.folder / added).unlink()
    team.commit()
    platform.release("999.3.0")
    assert team.make("update")[0] == 0
    assert not (team.folder / added).exists()


def test_files_added_since_an_older_release_are_included(start: Callable[..., Team]) -> None:
    team = start("v0.2.2")
    _update_by_copier(team)
    code, output = team.make("updated")
    assert code == 0
    assert "deploy/envs/prod/values.yaml is new" in output
    assert "# env:" in team.read("deploy/envs/prod/values.yaml")


def test_copier_updates_from_the_oldest_release(
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
    _update_by_copier(team)
    assert "v999.0.0" in team.read(ANSWERS)
    for file, line in ours.items():
        assert team.read(file).endswith(line), file
    team.commit()
    code, output = team.make("update")
    assert code == 0
    assert "Up to date" in output


def _update_by_copier(team: Team) -> None:
    """Update from a release before 0.3.0, whose `make update` only names Copier's option."""
    code, output = team.make("update")
    assert code != 0
    assert "--trust" in output
    assert not team.status()
    update(team.folder)


def _editor(team: Team) -> Callable[[str, str, str], None]:
    return Platform(team.folder, team.git).edit
