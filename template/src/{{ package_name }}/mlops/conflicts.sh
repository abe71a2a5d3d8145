# Names each file that a merge left unfinished, what is wrong and what to type; then exits with 1.
# Needs git and what POSIX has: the conflict may be in pyproject.toml or in the platform's own modules.
# usage: sh conflicts.sh [--settle] [PATH...]
# --settle: where no file but those that tools write is left, take one side of each; then make goes on.
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 0
git() {
  command git -c color.ui=false -c color.grep=false -c core.hooksPath=/dev/null -c core.quotePath=false \
    -c grep.column=false -c grep.fullName=false -c grep.lineNumber=false -c submodule.recurse=false "$@"
}
settle=
[ "${1:-}" != --settle ] || { settle=1 && shift; }
markers='^(<{7}|>{7}) '
tab=$(printf '\t')
found=$(
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
    target { print $1 "\ta conflict in what a tool writes\ttype: make " target; target = ""; next }
    $2 == "marked" { print $1 "\tconflict markers\tedit " $1 ", then type: git add " name }
    $2 == "unmerged" { print $1 "\tnot merged\ttype: git add " name }
    $2 == "rejected" { file = $1; sub(/\.rej$/, "", file)
      print $1 "\tlines that did not fit\tput them into " file ", then type: rm " name }'
)
# Either side does, since the tool makes the same of both. HEAD: where somebody added the markers.
if [ -n "$settle" ] && ! printf '%s\n' "$found" | grep -qv 'type: make [a-z]*$'; then
  found=$(printf '%s\n' "$found" | while IFS=$tab read -r file _ remedy; do
    for side in --ours --theirs HEAD; do
      git checkout --quiet "$side" -- "$file" 2>/dev/null && ! grep -qE "$markers" "$file" || continue
      git add --force -- "$file"
      echo "$file was in conflict, and is as one side had it; to write it anew, $remedy" >&2
      continue 2
    done
    printf '%s\tconflict markers\tedit %s, then type: git add %s\n' "$file" "$file" "$file"
  done)
fi
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
