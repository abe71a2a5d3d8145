"""Release the version of pyproject.toml, if it is new, with its notes of CHANGELOG.md.

usage: python hooks/release.py [--tag] [--publish]

Without an option it says what it would release. A run that stopped half-way can be run again.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.version import InvalidVersion, Version

from shared import TEMPLATE, Refusal, git


def version(folder: Path) -> Version:
    """Read the version of the checkout in `folder`."""
    text = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
    try:
        return Version(text)
    except InvalidVersion:
        raise Refusal(f"pyproject.toml: '{text}' is no version; type one such as 1.2.0") from None


def changelog(folder: Path) -> dict[str, str]:
    """Read the notes of each version, the newest first."""
    parts = re.split(r"^## +(.+?) *$", (folder / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    return {name: notes.strip() for name, notes in zip(parts[1::2], parts[2::2], strict=True)}


def released(folder: Path) -> dict[Version, str]:
    """Ask the remote for the versions that have a tag, and the object that each tag names."""
    versions = {}
    for line in git(folder, "ls-remote", "--tags", "--refs", "origin").splitlines():
        oid, name = line.split("\trefs/tags/")
        try:
            versions[Version(name)] = oid
        except InvalidVersion:
            continue  # a tag of another kind
    return versions


def due(folder: Path) -> tuple[Version, str] | None:
    """Give the version to release and its notes; None where it is released already."""
    new, tags = version(folder), released(folder)
    if tags.get(new, head := git(folder, "rev-parse", "HEAD")) != head:
        return None
    if (highest := max(tags, default=new)) > new:
        raise Refusal(f"pyproject.toml: {new} is not above {highest}, which is released: raise it")
    if not (notes := changelog(folder).get(str(new))):
        raise Refusal(f"CHANGELOG.md has nothing under '## {new}': say there what a team gets")
    return new, notes


def tag(folder: Path, name: str) -> None:
    """Tag HEAD, here and at the remote."""
    git(folder, "tag", "--force", name)
    git(folder, "push", "--quiet", "origin", f"refs/tags/{name}")


def publish(folder: Path, name: str, notes: str, *, prerelease: bool) -> None:
    """Make a release on GitHub out of a tag that has none."""
    options = ["--verify-tag", "--title", name, "--notes-file", "-"]
    if prerelease:
        options.append("--prerelease")
    if _gh(folder, "view", name).returncode:
        made = _gh(folder, "create", name, *options, given=notes)
        if made.returncode:
            raise Refusal(f"gh release create {name}: {made.stderr.strip()}")


def _gh(folder: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = ["gh", "release", *words]
    try:
        return subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True)
    except FileNotFoundError:
        raise Refusal("gh, GitHub's command-line tool, is not on the PATH: install it") from None


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Release the version of pyproject.toml, if new.")
    parser.add_argument("--tag", action="store_true", help="tag HEAD and push the tag")
    parser.add_argument("--publish", action="store_true", help="make the release on GitHub")
    given = parser.parse_args()
    try:
        if not (found := due(TEMPLATE)):
            print(f"v{version(TEMPLATE)} is released already", file=sys.stderr)
            return 0
        new, notes = found
        print(f"v{new}\n\n{notes}")
        if given.tag:
            tag(TEMPLATE, f"v{new}")
        if given.publish:
            publish(TEMPLATE, f"v{new}", notes, prerelease=new.is_prerelease)
    except Refusal as refusal:
        print(f"release: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
