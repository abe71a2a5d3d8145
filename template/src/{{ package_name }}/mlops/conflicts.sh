# Print each file of an unfinished merge with its problem and what to type, then exit with 1.
# Needs only git and POSIX tools, since pyproject.toml or the platform's modules may be in conflict.
# usage: sh conflicts.sh [--settle] [PATH...]
# --settle: if only generated files are in conflict, take one side of each, so that make can go on.
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 0
git() {
  command git -c color.ui=false -c color.grep=false -c core.hooksPath=/dev/null -c core.quotePath=false \
    -c grep.column=false -c grep.fullName=false -c grep.lineNumber=false -c submodule.recurse=false "$@"
}
settle=
[ "${1:-}" != --settle ] || { settle=1 && shift; }
markers='^(<{7}|>{7}) '
tab=$(printf '\t')
lines=$(
  marked=$(git grep -I -l -E -e "$markers" -- "$@")
  {
    printf '%s\n' "$marked" | sed "s/\$/${tab}marked/"
    git ls-files --unmerged -- "$@" | cut -f 2 | sort -u | grep -vxF -e "$marked" | sed "s/\$/${tab}unmerged/"
    git ls-files --cached --others --exclude-standard -- "$@" | grep '\.rej$' | sed "s/\$/${tab}rejected/"
  } | awk -F '\t' '
    $1 == "" { next }
    $1 == "uv.lock" { target = "setup" }
    $1 == "orchestration/pipelines.json" { target = "graph" }
    $1 ~ /(^|\/)dvc\.lock$/ { target = "pipeline" }
    { name = $1 ~ /[^A-Za-z0-9_.\/@%+-]/ ? "\047" $1 "\047" : $1 }
    target { print $1 "\ta conflict in a generated file\ttype: make " target; target = ""; next }
    $2 == "marked" { print $1 "\tconflict markers\tedit " $1 ", then type: git add " name }
    $2 == "unmerged" { print $1 "\tnot merged\ttype: git add " name }
    $2 == "rejected" { file = $1; sub(/\.rej$/, "", file)
      print $1 "\tlines that did not fit\tput them into " file ", then type: rm " name }'
)
# Either side will do, since the file is generated again. HEAD: if the markers are staged.
if [ -n "$settle" ] && ! printf '%s\n' "$lines" | grep -qv 'type: make [a-z]*$'; then
  lines=$(printf '%s\n' "$lines" | while IFS=$tab read -r file _ remedy; do
    for side in --ours --theirs HEAD; do
      git checkout --quiet "$side" -- "$file" 2>/dev/null && ! grep -qE "$markers" "$file" || continue
      git add --force -- "$file"
      echo "$file was in conflict: one side was taken; to generate it again, $remedy" >&2
      continue 2
    done
    printf '%s\tconflict markers\tedit %s, then type: git add %s\n' "$file" "$file" "$file"
  done)
fi
[ -z "$lines" ] || { printf '%s\n' "$lines"; exit 1; }
