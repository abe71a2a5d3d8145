"""A generated repo and the results of its commands."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Done:
    """Exit code of a command, and its output with both streams together."""

    code: int
    output: str


@dataclass(frozen=True)
class Repo:
    """A generated repo and the environment that its commands run in."""

    folder: Path
    env: dict[str, str]

    def run(self, *command: str, **env: str) -> Done:
        """Run a command in the repo; its output is also printed, for failed tests."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env | env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        print(f"$ {' '.join(command)}  -> {done.returncode}\n{done.stdout}")
        return Done(done.returncode, done.stdout)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file, which must contain it."""
        path = self.folder / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new))

    def digests(self) -> dict[str, str]:
        """Digests of the outs in dvc.lock by path."""
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text())
        outs = [out for stage in lock["stages"].values() for out in stage.get("outs", [])]
        return {out["path"]: out["md5"] for out in outs}
