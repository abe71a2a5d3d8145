# Names each file that a merge left unfinished, what is wrong and what to type; then exits with 1.
# Needs git alone: the conflict may be in pyproject.toml or in the platform's own modules.
# usage: sh conflicts.sh [PATH...]
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 0
git() { command git -c core.quotePath=false -c grep.lineNumber=false "$@"; }
found=$(
  marked=$(git grep -I -l -E -e '^(<{7}|>{7}) ' -- "$@")
  [ -z "$marked" ] || printf '%s\n' "$marked" |
    awk '{print $0 "\tconflict markers\tedit " $0 ", then type: git add " $0}'
  git diff --name-only --relative --diff-filter=U -- "$@" | grep -vxF -e "$marked" |
    awk '{print $0 "\tnot merged\ttype: git add " $0}'
  git ls-files --cached --others --exclude-standard -- "$@" | grep '\.rej$' |
    awk '{file = $0; sub(/\.rej$/, "", file)
      print $0 "\tlines that did not fit\tput them into " file ", then type: rm " $0}'
)
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
