"""Update a fleet: repos of random releases and scenarios, with random edits, by Copier's command.

usage: python benchmarks/fleet.py [--repos 100] [--seed 1]

It exits with 1 where an update lost a line, touched what it must not, or made a conflict in a file
that the team had not edited.
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

from checks import conflicts, lost, wrong
from edits import CLASSES, KINDS, work
from isolation import environment
from releases import Repos, history, publish, scenarios, tree, whose

CHECKOUT = Path(__file__).resolve().parents[1]
COPIER = [sys.executable, "-m", "copier"]
UNSAFE = 4  # Copier's exit code where a template wants trust


# Seconds by the clock, and of the processor.
Cost = tuple[float, float]


@dataclass
class Report:
    """What was seen so far; the counters are of files and lines, by class where it says so."""

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
        """The figures, one a line."""
        clock, processor = (_middle(self.updates, i) for i in (0, 1))
        start = _middle(self.starts, 0), _middle(self.starts, 1)
        of_class = ", ".join(f"{self.conflicts[owner]} {owner}" for owner in CLASSES)
        return "\n".join(
            [
                f"repos: {self.edited} edited, {self.unedited} not",
                f"unedited and now like a fresh copy: {self.converged} of {self.unedited}",
                f"updated without a conflict: {self.merged} of {self.edited + self.unedited}",
                f"asked for trust: {self.trusted}",
                f"files in conflict: {self.conflicts.total()} ({of_class})",
                *(f"{what}: {len(said)} (must be 0)" for what, said in self.complaints.items()),
                f"median update: {clock:.1f} s ({processor:.1f} s of processor)",
                f"  over `copier --version`: {clock - start[0]:.1f} s"
                f" ({processor - start[1]:.1f} s of processor)",
                *(f"FAIL  {each}" for said in self.complaints.values() for each in said),
            ]
        )


def run(count: int, seed: int, folder: Path) -> Report:
    """Generate, edit and update that many repos in a folder."""
    repos, report = Repos(publish(CHECKOUT, folder / "template"), folder), Report()
    routes = [
        (tag, name) for tag in history(CHECKOUT) for name in sorted(scenarios(repos.clone, tag))
    ]
    with suppress(KeyboardInterrupt):  # the report is then of those that are done
        for number in range(count):
            print(f"\r{number} of {count} ", end="", file=sys.stderr, flush=True)
            dice = random.Random(f"{seed} {number}")
            _one(repos, *dice.choice(routes), dice, folder / str(number), report)
    print("\r", end="", file=sys.stderr)
    return report


def _one(
    repos: Repos, tag: str, scenario: str, dice: random.Random, repo: Path, report: Report
) -> None:
    """Make a repo, let a team work in it (one in four does not), update it, look at it."""
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
    owners = whose(repos.fresh(tag, scenario), {*base, *team, *fresh, *after})
    said = wrong(base, team, fresh, after, owners)
    report.edited += bool(edits)
    report.unedited += not edits
    report.converged += not edits and not said
    report.merged += not conflicts(after)
    report.conflicts.update(owners[name] for name in conflicts(after))
    found = {
        "lines lost": lost(base, team, after),
        "conflicts in files that the team did not edit": [
            name for name in conflicts(after) if team.get(name) == base.get(name)
        ],
        "files of unedited repos that differ from a fresh copy's": [] if edits else said,
        "other files that are not the merge of both sides": said if edits else [],
    }
    for what, names in found.items():
        report.complaints[what] += [f"{repo.name} of {tag} {scenario}: {name}" for name in names]


def _update(repo: Path, report: Report) -> Cost:
    try:
        return _timed(repo, "update", "--defaults", "--quiet")
    except subprocess.CalledProcessError as error:
        if error.returncode != UNSAFE:
            sys.exit(f"{repo}: copier update: {error.stderr.decode()}")
        report.trusted += 1
        return _timed(repo, "update", "--defaults", "--quiet", "--trust")


def _timed(repo: Path, *arguments: str) -> Cost:
    """Run Copier in a repo; give what it took."""
    before = time.perf_counter(), _processor()
    subprocess.run([*COPIER, *arguments], cwd=repo, check=True, capture_output=True)
    return time.perf_counter() - before[0], _processor() - before[1]


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _middle(costs: list[Cost], which: int) -> float:
    return median(cost[which] for cost in costs)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Update many repos at once, and look at them.")
    parser.add_argument("--repos", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= environment(Path(folder))
        report = run(given.repos, given.seed, Path(folder))
    print(report)
    return 1 if any(report.complaints.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
