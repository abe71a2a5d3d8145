"""A local CI runner, which runs the steps of a job in order as GitHub's or GitLab's does.

The hosts' own programs, and those that connect to a registry or a signer, are stand-ins that log
their calls. Each job has a fresh checkout, but shares the environment that another job has set up.
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

LOG_CALL = 'printf "%s\\n" "${0##*/} $*" >> "$CALLS"\n'
# Digests of pushed images, as `docker` and `buildah` report them.
PUSH = f"""case "$*" in
*--password-stdin*) cat >> "$CALLS.input" ;;
"inspect "*) for image; do :; done; echo "${{image%:*}}@{DIGEST}" ;;
"push --digestfile "*) printf %s {DIGEST} > "$3" ;;
esac
"""
SYFT = 'for out; do case "$out" in spdx-json=*) echo {} > "${out#*=}" ;; esac; done\n'
COSIGN = 'case "$*" in *slsaprovenance1*) cp "${@: -2:1}" "$CALLS.provenance" ;; esac\n'
TOOLS = {"gh": "", "docker": PUSH, "buildah": PUSH, "syft": SYFT, "cosign": COSIGN, "apt-get": ""}


@dataclass
class Runner:
    """A host's runner: its server, its folder, and the variables that the host sets."""

    host: str
    repo: Path
    server: Path
    folder: Path
    env: dict[str, str]
    host_variables: Mapping[str, str]
    git: Callable[..., str]
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Install the stand-ins."""
        tools = self.folder / "bin"
        tools.mkdir(parents=True)
        for name, body in TOOLS.items():
            (tools / name).write_text(f"#!/usr/bin/env bash\n{LOG_CALL}{body}")
            (tools / name).chmod(0o755)
        self.env |= {
            "CI": "true",
            "HOME": str(self.folder),
            # Share the local cache, as the hosts cache it between jobs.
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
            "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"),
            "PATH": f"{tools}:{self.env['PATH']}",
            "CALLS": str(self.folder / "calls"),
        }
        # On a runner, git has no user name, and must not derive one from the machine.
        self.env = {key: value for key, value in self.env.items() if not NAMES.match(key)}
        config = Path(os.environ["GIT_CONFIG_GLOBAL"]).read_text()
        (self.folder / "gitconfig").write_text(f"{config}[user]\nuseConfigOnly = true\n")

    @property
    def work(self) -> Path:
        """Working folder of the jobs."""
        return self.folder / "work"

    def calls(self) -> list[str]:
        """Return the logged calls of the stand-ins."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def run(self, name: str, ref: str = "main", **env: str) -> str:
        """Run a job at a ref and return its output; a failed step raises AssertionError."""
        job = self._jobs()[name]
        self.done.append(name)
        if self.host == "github":
            return self._on_github(job, ref, env)
        self._checkout(ref)
        for needed in job.get("needs", []):
            if (artifacts := self.folder / "artifacts" / needed).exists():
                shutil.copytree(artifacts, self.work, dirs_exist_ok=True)
        variables = {key: str(value) for key, value in job.get("variables", {}).items()}
        variables.pop("UV_CACHE_DIR", None)
        script = [*job.get("before_script", []), *job["script"]]
        output = self._bash(script, {**variables, **env})
        for path in job.get("artifacts", {}).get("paths", []):
            self._store(name, path)
        return output

    def _on_github(self, job: hosts.Job, ref: str, env: Mapping[str, str]) -> str:
        output = ""
        for step in job["steps"]:
            inputs = step.get("with", {})
            if not self._holds(step.get("if", "")):
                continue
            match step.get("uses", "").partition("@")[0]:
                case "actions/checkout":
                    self._checkout(self._value(inputs.get("ref", ref)))
                case "actions/upload-artifact":
                    self._store(inputs["name"], inputs["path"])
                case "actions/download-artifact":
                    # The artifact holds only the file; the step sets the folder.
                    artifact = self.folder / "artifacts" / inputs["name"]
                    for file in (path for path in artifact.rglob("*") if path.is_file()):
                        target = self.work / inputs.get("path", ".") / file.name
                        target.parent.mkdir(exist_ok=True)
                        shutil.copy(file, target)
                case "":
                    own = {key: self._value(value) for key, value in step.get("env", {}).items()}
                    output += self._bash([step["run"]], {**own, **env})
        return output

    def _jobs(self) -> dict[str, Any]:
        if self.host == "gitlab":
            return hosts.pipeline(self.repo)
        workflows = hosts.workflows(self.repo).values()
        return {name: job for workflow in workflows for name, job in workflow["jobs"].items()}

    def _holds(self, condition: str) -> bool:
        """Evaluate a step's condition; only `hashFiles` is supported."""
        if not condition:
            return True
        [pattern] = re.findall(r"^hashFiles\('(.+)'\) != ''$", condition)
        return any(self.work.glob(pattern))

    def _value(self, text: object) -> str:
        """Replace GitHub's expressions in a value.

        Raises:
            KeyError: an expression is not in `host_variables`.
        """
        return re.sub(r"\${{ (.+?) }}", lambda match: self.host_variables[match[1]], str(text))

    def _checkout(self, ref: str) -> None:
        if not self.work.exists():
            self.git(self.folder, "clone", "--quiet", f"file://{self.server}", str(self.work))
        self.git(self.work, "remote", "set-url", "origin", f"file://{self.server}")
        self.git(self.work, "fetch", "--quiet", "origin")
        branch = self.git(self.work, "branch", "--remotes", "--list", f"origin/{ref}")
        self.git(self.work, "checkout", "--quiet", "--force", "--detach", branch.strip() or ref)
        self.git(self.work, "clean", "-ffdx", "--quiet", "--exclude=.venv")

    def _store(self, name: str, path: str) -> None:
        artifact = self.folder / "artifacts" / name / path
        artifact.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.work / path, artifact)

    def _bash(self, lines: list[str], env: Mapping[str, str]) -> str:
        variables = self.env | (dict(self.host_variables) if self.host == "gitlab" else {})
        variables |= {key: os.path.expandvars(value) for key, value in env.items()}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(lines)],
            cwd=self.work,
            env=variables,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        print(f"{self.host} {self.done[-1]} -> {done.returncode}\n{done.stdout}")
        assert done.returncode == 0
        return done.stdout
