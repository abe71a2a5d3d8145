# Build images, and push them if $PUSH is set: images.sh TOOL TARGET…; TOOL is docker, podman or
# buildah. BUILD_OPTIONS and PUSH_OPTIONS are passed to it unchanged, for example
# PUSH_OPTIONS=--tls-verify=false for buildah or podman and a registry without TLS.
set -eu
tool=$1
shift
command -v "$tool" >/dev/null || { echo "make images: $tool is not installed: name another in CONTAINER_TOOL" >&2; exit 1; }
field() { sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" pyproject.toml | head -n 1; }

prefix=${IMAGE_PREFIX:-$(field name)}
[ -z "${PUSH:-}" ] || [ -n "${IMAGE_PREFIX:-}" ] || {
    echo "make images: say where to push, as in IMAGE_PREFIX=registry.example.com/team/$prefix" >&2
    exit 1
}
sha=$(git rev-parse --verify --quiet HEAD) || {
    echo "make images: images are tagged with their commit, and there is none: git add . && git commit -m Start" >&2
    exit 1
}
[ -z "$(git status --porcelain --untracked-files=no -- . ':(exclude,glob)**/dvc.lock')" ] || sha=$sha-dirty
# Without the part before the host, because a label must not contain a password.
source=$(git remote get-url origin 2>/dev/null | sed 's#//[^/@]*@#//#') || source=
tag=$(echo "$sha" | sed 's/^\(.\{12\}\)[0-9a-f]*/\1/')
export BUILDAH_LAYERS=true

digests=$(mktemp -d)
trap 'rm -rf "$digests"' EXIT
for target; do
    image=$prefix/$target:$tag
    # shellcheck disable=SC2086  # split into words
    "$tool" build --file docker/Dockerfile --target "$target" --tag "$image" \
        --build-arg "GIT_SHA=$sha" --build-arg "SOURCE=$source" --build-arg "VERSION=$(field version)" \
        ${BUILD_OPTIONS:-} .
    echo "built $image"
    [ -n "${PUSH:-}" ] || continue
    if [ "$tool" = docker ]; then
        # shellcheck disable=SC2086
        docker push ${PUSH_OPTIONS:-} "$image"
        docker inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image" |
            sed -n "s#^$prefix/$target@##p" >"$digests/$target"
    else
        # shellcheck disable=SC2086
        "$tool" push --digestfile "$digests/$target" ${PUSH_OPTIONS:-} "$image"
    fi
    [ -s "$digests/$target" ] || { echo "make images: $image was pushed, but its digest is unknown" >&2; exit 1; }
done
[ -n "${PUSH:-}" ] || exit 0

{
    echo "{"
    for target; do
        printf '  "%s": "%s/%s@%s"\n' "$target" "$prefix" "$target" "$(cat "$digests/$target")"
    done | sed '$!s/$/,/'
    echo "}"
} >"$digests/images.json"
mv "$digests/images.json" images.json
echo "the digests are in images.json"
