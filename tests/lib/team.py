"""A platform that makes releases, and a team's repo that takes them by its own commands."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Git = Callable[..., str]


@dataclass(frozen=True)
class Platform:
    """A template with releases; the first is this checkout's."""

    folder: Path
    git: Git

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that must be in a file of the template."""
        path = self.folder / file
        assert old in path.read_text(), f"{file} has no {old!r}"
        path.write_text(path.read_text().replace(old, new, 1))

    def release(self, version: str) -> None:
        """Commit what was edited, with a section in the changelog, and tag it."""
        self.edit("CHANGELOG.md", "\n## ", f"\n## {version}\n\nWhat {version} brings.\n\n## ")
        self.git(self.folder, "add", "--all")
        self.git(self.folder, "commit", "--quiet", "--message", version)
        self.git(self.folder, "tag", f"v{version}")


@dataclass(frozen=True)
class Team:
    """A repo in git, and the commands that are typed in it."""

    folder: Path
    git: Git
    env: dict[str, str] = field(default_factory=dict)

    def make(self, *arguments: str, **env: str) -> tuple[int, str]:
        """Run make; give its exit code and what is printed, which is shown where a test fails."""
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
        """Write a file, and commit everything."""
        (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_text(text)
        self.commit()

    def read(self, file: str) -> str:
        """The text of a file."""
        return (self.folder / file).read_text()

    def commit(self) -> None:
        """Commit everything."""
        self.git(self.folder, "add", "--all")
        self.git(self.folder, "commit", "--quiet", "--message", "Change")

    def status(self) -> str:
        """What differs from the last commit."""
        return self.git(self.folder, "status", "--porcelain")

    def log(self) -> str:
        """What was asked of uv but Copier."""
        file = self.folder.parent / "uv.log"
        return file.read_text() if file.exists() else ""
