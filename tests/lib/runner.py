"""A runner of one machine: it does the steps of a job in order, as GitHub's or GitLab's would.

The hosts' own programs, and those that reach a registry or a signer, are stand-ins that keep what
they were asked. A job has a checkout of its own, but for the environment that another has set up.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hosts

DIGEST = "sha256:" + "ab" * 32
NAMES = re.compile(r"GIT_(AUTHOR|COMMITTER)_(NAME|EMAIL)$")

ASKED = 'printf "%s\\n" "${0##*/} $*" >> "$ASKED"\n'
# What `docker push` and `buildah push` leave of an image's digest.
PUSH = f"""case "$*" in
*--password-stdin*) cat >> "$ASKED.input" ;;
"inspect "*) for image; do :; done; echo "${{image%:*}}@{DIGEST}" ;;
"push --digestfile "*) printf %s {DIGEST} > "$3" ;;
esac
"""
SYFT = 'for out; do case "$out" in spdx-json=*) echo {} > "${out#*=}" ;; esac; done\n'
COSIGN = 'case "$*" in *slsaprovenance1*) cp "${@: -2:1}" "$ASKED.provenance" ;; esac\n'
TOOLS = {"gh": "", "docker": PUSH, "buildah": PUSH, "syft": SYFT, "cosign": COSIGN, "apt-get": ""}


@dataclass
class Runner:
    """A host's runner: its server, a folder to work in, and what the host tells each job."""

    host: str
    repo: Path
    server: Path
    folder: Path
    env: dict[str, str]
    given: Mapping[str, str]
    git: Callable[..., str]
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Lay out the stand-ins."""
        tools = self.folder / "bin"
        tools.mkdir(parents=True)
        for name, body in TOOLS.items():
            (tools / name).write_text(f"#!/usr/bin/env bash\n{ASKED}{body}")
            (tools / name).chmod(0o755)
        self.env |= {
            "CI": "true",
            "HOME": str(self.folder),
            # The hosts' caches are this machine's.
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
            "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"),
            "PATH": f"{tools}:{self.env['PATH']}",
            "ASKED": str(self.folder / "asked"),
        }
        # On a runner git knows nobody's name, and must not make one up of the machine's.
        self.env = {key: value for key, value in self.env.items() if not NAMES.match(key)}
        config = Path(os.environ["GIT_CONFIG_GLOBAL"]).read_text()
        (self.folder / "gitconfig").write_text(f"{config}[user]\nuseConfigOnly = true\n")

    @property
    def work(self) -> Path:
        """Where a job works."""
        return self.folder / "work"

    def asked(self) -> list[str]:
        """What the stand-ins were asked."""
        file = self.folder / "asked"
        return file.read_text().splitlines() if file.exists() else []

    def run(self, name: str, ref: str = "main", **env: str) -> str:
        """Do a job at a ref; what it says. It fails where a step does."""
        job = self._jobs()[name]
        self.done.append(name)
        if self.host == "github":
            return self._on_github(job, ref, env)
        self._checkout(ref)
        for needed in job.get("needs", []):
            if (kept := self.folder / "artifacts" / needed).exists():
                shutil.copytree(kept, self.work, dirs_exist_ok=True)
        here = {key: str(value) for key, value in job.get("variables", {}).items()}
        here.pop("UV_CACHE_DIR", None)
        said = self._bash([*job.get("before_script", []), *job["script"]], {**here, **env})
        for path in job.get("artifacts", {}).get("paths", []):
            self._keep(name, path)
        return said

    def _on_github(self, job: hosts.Job, ref: str, env: Mapping[str, str]) -> str:
        said = ""
        for step in job["steps"]:
            given = step.get("with", {})
            if not self._wanted(step.get("if", "")):
                continue
            match step.get("uses", "").partition("@")[0]:
                case "actions/checkout":
                    self._checkout(self._value(given.get("ref", ref)))
                case "actions/upload-artifact":
                    self._keep(given["name"], given["path"])
                case "actions/download-artifact":
                    # It takes the file; the folder is the step's.
                    kept = self.folder / "artifacts" / given["name"]
                    for file in (path for path in kept.rglob("*") if path.is_file()):
                        target = self.work / given.get("path", ".") / file.name
                        target.parent.mkdir(exist_ok=True)
                        shutil.copy(file, target)
                case "":
                    here = {key: self._value(value) for key, value in step.get("env", {}).items()}
                    said += self._bash([step["run"]], {**here, **env})
        return said

    def _jobs(self) -> dict[str, Any]:
        if self.host == "gitlab":
            return hosts.pipeline(self.repo)
        found = hosts.workflows(self.repo).values()
        return {name: job for workflow in found for name, job in workflow["jobs"].items()}

    def _wanted(self, condition: str) -> bool:
        """Whether a step runs; of conditions the tests know one."""
        if not condition:
            return True
        [pattern] = re.findall(r"^hashFiles\('(.+)'\) != ''$", condition)
        return any(self.work.glob(pattern))

    def _value(self, text: object) -> str:
        """A value with GitHub's expressions; one that the tests do not know fails."""
        return re.sub(r"\${{ (.+?) }}", lambda match: self.given[match[1]], str(text))

    def _checkout(self, ref: str) -> None:
        if not self.work.exists():
            self.git(self.folder, "clone", "--quiet", f"file://{self.server}", str(self.work))
        self.git(self.work, "remote", "set-url", "origin", f"file://{self.server}")
        self.git(self.work, "fetch", "--quiet", "origin")
        known = self.git(self.work, "branch", "--remotes", "--list", f"origin/{ref}")
        self.git(self.work, "checkout", "--quiet", "--force", "--detach", known.strip() or ref)
        self.git(self.work, "clean", "-ffdx", "--quiet", "--exclude=.venv")

    def _keep(self, name: str, path: str) -> None:
        kept = self.folder / "artifacts" / name / path
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.work / path, kept)

    def _bash(self, lines: list[str], env: Mapping[str, str]) -> str:
        known = self.env | (dict(self.given) if self.host == "gitlab" else {})
        known |= {key: os.path.expandvars(value) for key, value in env.items()}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(lines)],
            cwd=self.work,
            env=known,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        print(f"{self.host} {self.done[-1]} -> {done.returncode}\n{done.stdout}")
        assert done.returncode == 0
        return done.stdout
