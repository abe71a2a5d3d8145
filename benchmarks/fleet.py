"""Update a fleet of repos of random releases and scenarios, with random edits, using `copier`.

usage: python benchmarks/fleet.py [--repos 100] [--seed 1]

The exit code is 1 if an update lost a line, changed a file that it must not change, or caused a
conflict in a file that the team had not edited.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from checks import conflicts, lost, moved, wrong
from edits import CLASSES, KINDS, work
from isolation import environment
from releases import Repos, file_owners, history, publish, scenarios, tree

CHECKOUT = Path(__file__).resolve().parents[1]
COPIER = [sys.executable, "-m", "copier"]
UNSAFE = 4  # Copier's exit code for a template that requires --trust


# Wall-clock seconds and CPU seconds.
Cost = tuple[float, float]


@dataclass
class Report:
    """Results so far; `conflicts` counts files by class."""

    edited: int = 0
    unedited: int = 0
    converged: int = 0
    merged: int = 0
    trusted: int = 0
    conflicts: Counter[str] = field(default_factory=Counter)
    updates: list[Cost] = field(default_factory=list)
    starts: list[Cost] = field(default_factory=list)
    complaints: dict[str, list[str]] = field(
        default_factory=lambda: {
            "lines lost": [],
            "conflicts in files that the team did not edit": [],
            "files of unedited repos that differ from a fresh copy's": [],
            "other files that are not the merge of both sides": [],
        }
    )

    def __str__(self) -> str:
        """Return the figures, one per line."""
        clock, processor = (_median(self.updates, i) for i in (0, 1))
        start = _median(self.starts, 0), _median(self.starts, 1)
        by_class = ", ".join(f"{self.conflicts[owner]} {owner}" for owner in CLASSES)
        return "\n".join(
            [
                f"repos: {self.edited} edited, {self.unedited} unedited",
                f"unedited and now equal to a fresh copy: {self.converged} of {self.unedited}",
                f"updated without a conflict: {self.merged} of {self.edited + self.unedited}",
                f"required trust: {self.trusted}",
                f"files in conflict: {self.conflicts.total()} ({by_class})",
                *(f"{kind}: {len(lines)} (must be 0)" for kind, lines in self.complaints.items()),
                f"median update: {clock:.1f} s ({processor:.1f} s CPU)",
                f"  over `copier --version`: {clock - start[0]:.1f} s"
                f" ({processor - start[1]:.1f} s CPU)",
                *(f"FAIL  {line}" for lines in self.complaints.values() for line in lines),
            ]
        )


def run(count: int, seed: int, folder: Path) -> Report:
    """Generate, edit and update `count` repos in a folder."""
    repos, report = Repos(publish(CHECKOUT, folder / "template"), folder), Report()
    routes = [
        (tag, name) for tag in history(CHECKOUT) for name in sorted(scenarios(repos.clone, tag))
    ]
    with suppress(KeyboardInterrupt):  # the report then covers the repos updated so far
        for number in range(count):
            print(f"\r{number} of {count} ", end="", file=sys.stderr, flush=True)
            dice = random.Random(f"{seed} {number}")
            _one(repos, *dice.choice(routes), dice, folder / str(number), report)
    print("\r", end="", file=sys.stderr)
    return report


def _one(
    repos: Repos, tag: str, scenario: str, dice: random.Random, repo: Path, report: Report
) -> None:
    """Generate a repo, edit it (three out of four), update it and check the result."""
    repos.copy(tag, scenario, repo)
    edits = [
        (dice.choice(list(KINDS)), dice.choice(CLASSES), dice.randrange(10**6))
        for _ in range(dice.choice([0, 2, 5, 10]))
    ]
    work(repo, edits, repos.fresh(tag, scenario))
    base, team = tree(repos.base(tag, scenario)), tree(repo)

    report.starts.append(_timed(repo, "--version"))
    report.updates.append(_update(repo, report))

    after, fresh = tree(repo), tree(repos.fresh(tag, scenario))
    moves = repos.moves(tag, scenario)
    splits = {name for old, news in moves.items() if len(news) > 1 for name in (old, *news)}
    sides = moved(base, fresh, moves), moved(team, fresh, moves)
    owners = file_owners(repos.fresh(tag, scenario), {*sides[0], *sides[1], *fresh, *after})
    differences = wrong(*sides, fresh, after, owners, splits)
    report.edited += bool(edits)
    report.unedited += not edits
    report.converged += not edits and not differences
    report.merged += not conflicts(after)
    report.conflicts.update(owners[name] for name in conflicts(after))
    complaints = {
        "lines lost": lost(base, team, after),
        "conflicts in files that the team did not edit": [
            name for name in conflicts(after) if team.get(name) == base.get(name)
        ],
        "files of unedited repos that differ from a fresh copy's": [] if edits else differences,
        "other files that are not the merge of both sides": differences if edits else [],
    }
    for kind, lines in complaints.items():
        report.complaints[kind] += [f"{repo.name} of {tag} {scenario}: {line}" for line in lines]


def _update(repo: Path, report: Report) -> Cost:
    try:
        return _timed(repo, "update", "--defaults", "--quiet")
    except subprocess.CalledProcessError as error:
        if error.returncode != UNSAFE:
            sys.exit(f"{repo}: copier update: {error.stderr.decode()}")
        report.trusted += 1
        return _timed(repo, "update", "--defaults", "--quiet", "--trust")


def _timed(repo: Path, *arguments: str) -> Cost:
    """Run Copier in a repo and return its cost."""
    before = time.perf_counter(), _processor()
    subprocess.run([*COPIER, *arguments], cwd=repo, check=True, capture_output=True)
    return time.perf_counter() - before[0], _processor() - before[1]


def _processor() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _median(costs: list[Cost], index: int) -> float:
    return median(cost[index] for cost in costs)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Update many repos and check the results.")
    parser.add_argument("--repos", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= environment(Path(folder))
        report = run(arguments.repos, arguments.seed, Path(folder))
    print(report)
    return 1 if any(report.complaints.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
