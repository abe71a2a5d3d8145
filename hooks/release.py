"""Release the version in pyproject.toml, if it is new, with its notes in CHANGELOG.md.

usage: python hooks/release.py [--tag] [--publish]

Without options, it prints what it would release. An interrupted run can be repeated.
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
    """Return the version of the checkout in `folder`."""
    text = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
    try:
        return Version(text)
    except InvalidVersion:
        raise Refusal(f"pyproject.toml: '{text}' is not a version; type one like 1.2.0") from None


def changelog(folder: Path) -> dict[str, str]:
    """Return the notes of each version, newest first."""
    parts = re.split(r"^## +(.+?) *$", (folder / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    return {name: notes.strip() for name, notes in zip(parts[1::2], parts[2::2], strict=True)}


def released(folder: Path) -> dict[Version, str]:
    """Return the versions that have a tag at the remote, with the object of each tag."""
    versions = {}
    for line in git(folder, "ls-remote", "--tags", "--refs", "origin").splitlines():
        oid, name = line.split("\trefs/tags/")
        try:
            versions[Version(name)] = oid
        except InvalidVersion:
            continue  # not the tag of a release
    return versions


def due(folder: Path) -> tuple[Version, str] | None:
    """Return the version to release and its notes, or None if it is released already.

    Raises:
        Refusal: the version is not above the latest release, or has no notes.
    """
    new, tags = version(folder), released(folder)
    if tags.get(new, head := git(folder, "rev-parse", "HEAD")) != head:
        return None
    if (highest := max(tags, default=new)) > new:
        raise Refusal(f"pyproject.toml: {new} is not above {highest}, which is released: raise it")
    if not (notes := changelog(folder).get(str(new))):
        raise Refusal(f"CHANGELOG.md has nothing under '## {new}': describe there what a team gets")
    return new, notes


def tag(folder: Path, name: str) -> None:
    """Tag HEAD, locally and at the remote."""
    git(folder, "tag", "--force", name)
    git(folder, "push", "--quiet", "origin", f"refs/tags/{name}")


def publish(folder: Path, name: str, notes: str, *, prerelease: bool) -> None:
    """Create the release of a tag on GitHub, unless it exists."""
    options = ["--verify-tag", "--title", name, "--notes-file", "-"]
    if prerelease:
        options.append("--prerelease")
    if _gh(folder, "view", name).returncode:
        done = _gh(folder, "create", name, *options, stdin=notes)
        if done.returncode:
            raise Refusal(f"gh release create {name}: {done.stderr.strip()}")


def _gh(folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = ["gh", "release", *words]
    try:
        return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True)
    except FileNotFoundError:
        raise Refusal("gh, GitHub's command-line tool, is not on the PATH: install it") from None


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Release the version in pyproject.toml, if new.")
    parser.add_argument("--tag", action="store_true", help="tag HEAD and push the tag")
    parser.add_argument("--publish", action="store_true", help="create the release on GitHub")
    args = parser.parse_args()
    try:
        if not (release := due(TEMPLATE)):
            print(f"v{version(TEMPLATE)} is already released", file=sys.stderr)
            return 0
        new, notes = release
        print(f"v{new}\n\n{notes}")
        if args.tag:
            tag(TEMPLATE, f"v{new}")
        if args.publish:
            publish(TEMPLATE, f"v{new}", notes, prerelease=new.is_prerelease)
    except Refusal as refusal:
        print(f"release: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
