"""Sign images and attest their contents and origin, with the identity of the CI job.

No key is stored: cosign gets a certificate for the job's OIDC token, which GitHub issues to a job
with `id-token: write` and GitLab to one with `id_tokens: SIGSTORE_ID_TOKEN`.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .. import files
from ..errors import Problem
from ..settings import settings
from ..vcs.git import sha


def run(images: Path) -> None:
    """Sign each image in the file of `make images PUSH=1`, and attest its SBOM and provenance.

    Raises:
        Problem: the file, syft or cosign is missing, or one of the tools fails.
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
    """Return the predicate of SLSA provenance v1 for a target of docker/Dockerfile.

    Raises:
        Problem: this is not a CI job.
    """
    env = os.environ
    if "GITHUB_ACTIONS" in env:
        repo = f"{env['GITHUB_SERVER_URL']}/{env['GITHUB_REPOSITORY']}"
        builder = f"{env['GITHUB_SERVER_URL']}/{env['GITHUB_WORKFLOW_REF']}"
        job = f"{repo}/actions/runs/{env['GITHUB_RUN_ID']}/attempts/{env['GITHUB_RUN_ATTEMPT']}"
    elif "GITLAB_CI" in env:
        repo, builder = env["CI_PROJECT_URL"], f"{env['CI_PROJECT_URL']}/-/runners/"
        builder, job = builder + env["CI_RUNNER_ID"], env["CI_JOB_URL"]
    else:
        raise Problem("only a GitHub Actions or GitLab CI job can attest where an image comes from")
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
        process = subprocess.run([tool, *arguments], check=False)
    except FileNotFoundError:
        raise Problem(f"{tool} is not on the PATH: type `make attest`, which installs it") from None
    if process.returncode:
        raise Problem(f"`{tool} {arguments[0]}` failed: see above")
