# Fill /opt/venv while an image is built: `venv` makes it, `code` installs the repo's own package,
# any other word is a group of uv.lock.
set -eu
export UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
# The credentials of the index, where the build is given them: they are in no layer.
export NETRC=/run/secrets/netrc

case $UV_DEFAULT_INDEX in
*://*@*)
    echo "UV_DEFAULT_INDEX holds a password, which layers would keep: give it by a secret, as in" \
        "--secret id=netrc,src=\$HOME/.netrc" >&2
    exit 1
    ;;
esac

case $1 in
venv) exec uv venv --quiet --no-project /opt/venv ;;
code) exec uv pip install --quiet --no-deps --compile-bytecode . ;;
esac

# The engine's part has nothing of the model's, and runs no tests.
case $1 in
orchestrator) which="--only-group orchestrator --prune pytest" ;;
*) which="--no-default-groups --group $1" ;;
esac

# Unlike `uv sync`, this asks the index that is set, and not the one that the lock was made with.
# shellcheck disable=SC2086  # they are words
uv export --quiet --frozen --no-emit-project $which --output-file /tmp/locked.txt
uv pip install --quiet --require-hashes --requirement /tmp/locked.txt
rm /tmp/locked.txt

# What runs reads none of these: tests, headers, the linker's symbols, the pages of `feast ui`,
# Kubernetes' client for asyncio.
packages=$(echo /opt/venv/lib/python3.*/site-packages)
find "$packages" -type d \( -name tests -o -path '*/feast/ui' -o -path '*/kubernetes/aio' -o -path '*/pyarrow/include' \) -prune -exec rm -r {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.h' \) -delete
find "$packages" -type f -name '*.so*' -not -path '*.libs/*' -exec strip --strip-unneeded {} +

# A service is fetched to many nodes, and starts once on each; a stage's libraries load piece by piece.
case $1 in
serve) python /opt/compile.py "$1" ;;
*) python -m compileall -q -j 0 "$packages" ;;
esac
