# Fill /opt/venv during an image build: `venv` creates it, `code` installs the repo's own package,
# and any other argument is a dependency group in uv.lock.
set -eu
export UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
# Credentials of the index, if the build gets them as a secret. No layer contains them.
export NETRC=/run/secrets/netrc

case $UV_DEFAULT_INDEX in
*://*@*)
    echo "UV_DEFAULT_INDEX contains a password, which layers would keep: pass it as a secret, as in" \
        "--secret id=netrc,src=\$HOME/.netrc" >&2
    exit 1
    ;;
esac

case $1 in
venv) exec uv venv --quiet --no-project /opt/venv ;;
code) exec uv pip install --quiet --no-deps --compile-bytecode . ;;
esac

# The engine's image has no dependencies of the model, and runs no tests.
case $1 in
orchestrator) which="--only-group orchestrator --prune pytest" ;;
*) which="--no-default-groups --group $1" ;;
esac

# Unlike `uv sync`, this uses the configured index, not the one in the lock.
# shellcheck disable=SC2086  # split into words
uv export --quiet --frozen --no-emit-project $which --output-file /tmp/locked.txt
uv pip install --quiet --require-hashes --requirement /tmp/locked.txt
rm /tmp/locked.txt

# Not needed at run time: tests, headers, symbols for the linker, the pages of `feast ui`, the
# asyncio client of Kubernetes.
packages=$(echo /opt/venv/lib/python3.*/site-packages)
find "$packages" -type d \( -name tests -o -path '*/feast/ui' -o -path '*/kubernetes/aio' -o -path '*/pyarrow/include' \) -prune -exec rm -r {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.h' \) -delete
# An image that extends another strips only what it adds.
stripped=/opt/venv/.stripped
added=
[ ! -e $stripped ] || added="-cnewer $stripped"
# shellcheck disable=SC2086
find "$packages" -type f -name '*.so*' -not -path '*.libs/*' $added -exec strip --strip-unneeded {} +
touch $stripped

# The service's image is pulled to many nodes, so it gets only the bytecode that a start needs.
# Stages import libraries as they go, so the other images get all bytecode.
case $1 in
serve) python /opt/compile.py "$1" ;;
*) python -m compileall -q -j 0 "$packages" ;;
esac
