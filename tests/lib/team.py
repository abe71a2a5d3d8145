"""A platform that publishes releases, and a team's repo that updates to them with its commands."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Git = Callable[..., str]


@dataclass(frozen=True)
class Platform:
    """A template with releases; the first is this checkout."""

    folder: Path
    git: Git

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file of the template, which must contain it."""
        path = self.folder / file
        assert old in path.read_text(), f"{file} has no {old!r}"
        path.write_text(path.read_text().replace(old, new, 1))

    def release(self, version: str) -> None:
        """Add a changelog section, commit all edits and tag the release."""
        self.edit("CHANGELOG.md", "\n## ", f"\n## {version}\n\nChanges in {version}.\n\n## ")
        self.git(self.folder, "add", "--all")
        self.git(self.folder, "commit", "--quiet", "--message", version)
        self.git(self.folder, "tag", f"v{version}")


@dataclass(frozen=True)
class Team:
    """A team's git repo and the commands that are run in it."""

    folder: Path
    git: Git
    env: dict[str, str] = field(default_factory=dict)

    def make(self, *arguments: str, **env: str) -> tuple[int, str]:
        """Run make; return its exit code and its output, which is also printed for failed tests."""
        done = subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env=os.environ | self.env | env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        print(f"$ make {' '.join(arguments)}  -> {done.returncode}\n{done.stdout}")
        return done.returncode, done.stdout

    def write(self, file: str, text: str) -> None:
        """Write a file and commit everything."""
        (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_text(text)
        self.commit()

    def read(self, file: str) -> str:
        """Return the text of a file."""
        return (self.folder / file).read_text()

    def commit(self) -> None:
        """Commit everything."""
        self.git(self.folder, "add", "--all")
        self.git(self.folder, "commit", "--quiet", "--message", "Change")

    def status(self) -> str:
        """Return the changes since the last commit in git's short format."""
        return self.git(self.folder, "status", "--porcelain")

    def log(self) -> str:
        """Return the logged calls of uv: all except those that run Copier."""
        file = self.folder.parent / "uv.log"
        return file.read_text() if file.exists() else ""
