"""Say of images what is in them and where they come from, signed with the identity of the CI job.

No key is kept: cosign gets a certificate for the job's OIDC token, which GitHub gives a job with
`id-token: write` and GitLab one with `id_tokens: SIGSTORE_ID_TOKEN`.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from . import files
from .commit import sha
from .errors import Problem
from .settings import settings


def run(images: Path) -> None:
    """Sign each image of a file as `make images PUSH=1` writes it; attest SBOM and provenance.

    Raises:
        Problem: the file is not there, or syft or cosign is not, or fails.
    """
    if not images.exists():
        raise Problem(f"no {images}: type `make images PUSH=1`")
    with tempfile.TemporaryDirectory(prefix="mlops-") as name:
        sbom, origin = Path(name, "sbom.json"), Path(name, "provenance.json")
        for target, image in files.read_json(images).items():
            files.write_json(origin, provenance(target))
            _call("syft", "scan", f"registry:{image}", "--output", f"spdx-json={sbom}")
            _call("cosign", "sign", "--yes", image)
            for kind, file in (("spdxjson", sbom), ("slsaprovenance1", origin)):
                _call("cosign", "attest", "--yes", "--type", kind, "--predicate", file, image)
            print(f"{target}: signed, with SBOM and provenance", flush=True)


def provenance(target: str) -> dict[str, Any]:
    """The predicate of SLSA's provenance v1 for a target of docker/Dockerfile."""
    env = os.environ
    if "GITHUB_ACTIONS" in env:
        repo = f"{env['GITHUB_SERVER_URL']}/{env['GITHUB_REPOSITORY']}"
        builder = f"{env['GITHUB_SERVER_URL']}/{env['GITHUB_WORKFLOW_REF']}"
        job = f"{repo}/actions/runs/{env['GITHUB_RUN_ID']}/attempts/{env['GITHUB_RUN_ATTEMPT']}"
    elif "GITLAB_CI" in env:
        repo, builder = env["CI_PROJECT_URL"], f"{env['CI_PROJECT_URL']}/-/runners/"
        builder, job = builder + env["CI_RUNNER_ID"], env["CI_JOB_URL"]
    else:
        raise Problem("only a job of GitHub Actions or GitLab CI can say where an image comes from")
    commit = sha(settings().root)
    source = {"uri": f"git+{repo}", "digest": {"gitCommit": commit}}
    return {
        "buildDefinition": {
            "buildType": f"{repo}/blob/{commit}/docker/Dockerfile",
            "externalParameters": {"target": target, "source": source},
            "resolvedDependencies": [source],
        },
        "runDetails": {"builder": {"id": builder}, "metadata": {"invocationId": job}},
    }


def _call(tool: str, *arguments: str | Path) -> None:
    try:
        done = subprocess.run([tool, *arguments], check=False)
    except FileNotFoundError:
        raise Problem(f"{tool} is not on the PATH: type `make attest`, which brings it") from None
    if done.returncode:
        raise Problem(f"`{tool} {arguments[0]}` fails: see above")
