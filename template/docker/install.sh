# Fill /opt/venv during an image build: `project` installs the project's dependencies in uv.lock,
# `code` its own package, and any other argument is a dependency group. `index` keeps the index.
set -eu
# Both are mounts, and so is the home: what a library leaves in it must not be in the image.
tools=/opt/tools cache=/var/cache/uv
export PATH="$PATH:$tools/usr/local/bin" HOME=$cache TMPDIR=$cache UV_CACHE_DIR=$cache
export UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
# Credentials of the index, if the build gets them as a secret. No layer contains them.
export NETRC=/run/secrets/netrc

if [ "$1" = index ]; then
    case $UV_DEFAULT_INDEX in
    *://*@*)
        echo "UV_DEFAULT_INDEX contains a password, which layers would keep: pass it as a secret, as in" \
            "--secret id=netrc,src=\$HOME/.netrc" >&2
        exit 1
        ;;
    esac
    echo "$UV_DEFAULT_INDEX" >/opt/index
    { uv --version && cat /opt/index; } | sha256sum >/opt/checksum
    exit
fi
UV_DEFAULT_INDEX=$(cat $tools/opt/index)
export UV_DEFAULT_INDEX

[ -e /opt/venv ] || uv venv --quiet --no-project /opt/venv
# The engine's image has no dependencies of the model, and runs no tests.
case $1 in
code) exec uv pip install --quiet --no-deps --compile-bytecode . ;;
orchestrator) which="--only-group orchestrator --prune pytest" ;;
project) which=--no-default-groups ;;
*) which="--no-default-groups --group $1" ;;
esac

# Unlike `uv sync`, this uses the configured index, not the one in the lock.
locked=$(mktemp)
# shellcheck disable=SC2086  # split into words
uv export --quiet --frozen --no-emit-project $which --output-file "$locked"
uv pip install --quiet --require-hashes --requirement "$locked"

# Not needed at run time: tests, headers, symbols for the linker, the pages of `feast ui`, the
# asyncio client of Kubernetes.
packages=$(echo /opt/venv/lib/python3.*/site-packages)
find "$packages" -type d \( -name tests -o -path '*/feast/ui' -o -path '*/kubernetes/aio' -o -path '*/pyarrow/include' \) -prune -exec rm -r {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.h' \) -delete
# Only what is new: a layer contains each file that it changes.
find "$packages" -type f -name '*.so*' -not -path '*.libs/*' -cnewer "$locked" \
    -exec env LD_LIBRARY_PATH="$(echo $tools/usr/lib/*-linux-gnu)" $tools/usr/bin/strip --strip-unneeded {} +
rm "$locked"

# A service starts once and its image is pulled to many nodes, so it gets only the bytecode that a
# start needs. Stages import libraries as they go, so the other images get all bytecode.
case $1 in
project | serve | dashboard) python docker/compile.py "$1" ;;
*) python -m compileall -q -j 0 "$packages" ;;
esac
