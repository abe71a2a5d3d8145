"""What an update must not do. Each check gives its complaints; none is a good update."""

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from releases import Tree

Entry = tuple[bool, bytes]

ANSWERS = ".copier-answers.yml"
MARKER = b"<<<<<<< before updating"
# The update leaves these as they are: the team's, and what tools make.
LEFT = ("yours", "tools")


def lost(base: Tree, team: Tree, after: Tree) -> list[str]:
    """The lines that a team wrote and that are nowhere: not in the file, a conflict or a `.rej`.

    Args:
        base: what the repo's release rendered.
        team: the repo before the update.
        after: the repo after it.
    """
    made = [content for name, (_, content) in after.items() if name not in team]
    complaints = []
    for name, (_, content) in team.items():
        written = _written(base[name][1] if name in base else b"", content)
        # A file that moved took the lines along, into one that the update made.
        places = [after[name][1]] if name in after else made
        if rejected := after.get(f"{name}.rej"):
            places = [*places, re.sub(rb"(?m)^\+", b"", rejected[1])]
        kept = sum((Counter(place.splitlines()) for place in places), Counter())
        complaints += [f"{name}: lost {line!r}" for line in (written - kept).elements()]
    return complaints


def wrong(base: Tree, team: Tree, fresh: Tree, after: Tree, owner: Mapping[str, str]) -> list[str]:
    """The files that are not what a three-way merge by class would have made of them.

    Args:
        base: what the repo's release rendered.
        team: the repo before the update.
        fresh: what the latest release renders of the same answers.
        after: the repo after the update.
        owner: the class of each file of any of these.
    """
    complaints = []
    for name in sorted({*base, *team, *fresh, *after} - {ANSWERS}):
        if name not in team and name.endswith(".rej"):
            continue
        versions = base.get(name), team.get(name), fresh.get(name)
        expected = versions[1] if owner[name] in LEFT else _merged(*versions)
        found = "a conflict" if name in conflicts(after) - conflicts(team) else after.get(name)
        if found != expected:
            complaints.append(f"{name} ({owner[name]}): {_brief(found)}, not {_brief(expected)}")
    return complaints


def conflicts(tree: Tree) -> set[str]:
    """The files with conflict markers or a `.rej` beside them."""
    return {name for name, (_, content) in tree.items() if MARKER in content} | {
        name.removesuffix(".rej") for name in tree if name.endswith(".rej")
    }


def schema(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The questions and choices of a copier.yml that a later one forgot.

    A question may get another name if a default reads the old one.
    """
    complaints = []
    for name, question in _recorded(old).items():
        if name in new:
            gone = _choices(question) - _choices(new[name])
            complaints += [f"{name} has no choice {choice} any more" for choice in sorted(gone)]
        elif not any(
            re.search(rf"\b{name}\b", str(other.get("default", "")))
            for other in _recorded(new).values()
        ):
            complaints.append(f"no question is called {name} any more, and no default reads it")
    return complaints


def _written(base: bytes, content: bytes) -> Counter[bytes]:
    """The lines of a content that are not the base's."""
    before, now = base.splitlines(), content.splitlines()
    changes = SequenceMatcher(None, before, now, autojunk=False).get_opcodes()
    return Counter(line for kind, _, _, i, j in changes if kind != "equal" for line in now[i:j])


def _merged(base: Entry | None, team: Entry | None, fresh: Entry | None) -> Entry | str | None:
    """What a file must become; None is no file."""
    if team == base:
        return fresh
    # What a team deleted stays away, and what it edited outlives a deletion of the platform's.
    if fresh == base or team is None or fresh is None:
        return team
    executable, old = base or (fresh[0], b"")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("team", "base", "fresh")]
        for path, content in zip(paths, (team[1], old, fresh[1]), strict=True):
            path.write_bytes(content)
        done = subprocess.run(["git", "merge-file", "-p", *paths], capture_output=True, check=False)
    if done.returncode:
        return "a conflict"
    return (team[0] if team[0] != executable else fresh[0]), done.stdout


def _brief(entry: Entry | str | None) -> str:
    if entry is None:
        return "no file"
    return entry if isinstance(entry, str) else f"{entry[1][-60:]!r}{' +x' * entry[0]}"


def _recorded(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: question
        for name, question in config.items()
        if not name.startswith("_") and question.get("when") is not False
    }


def _choices(question: Mapping[str, Any]) -> set[str]:
    choices = question.get("choices", [])
    return set(map(str, choices.values() if isinstance(choices, dict) else choices))
