# shellcheck shell=sh
# The beginning of every script here. They run in the session's container, in the workspace,
# under a supervisor; everything that varies is an argument, nothing is ever part of the script.
#
# Other processes of the session may exchange folders for links while we work. A folder that a
# process stands in is pinned: it can be renamed, but never leave the volume that it is on
# (rename(2): EXDEV), and the workspace is a volume. So we go to a file's folder, look at where
# that is, and name nothing but files in it from there on.
#
# What they say on standard output: one line, "!" and a word when it cannot be done; then what
# each script promises. Needs: stat, readlink and what the script names.

fail() {
  printf '!%s\n' "$1"
  exit 1
}

needs() {
  for tool; do command -v "$tool" >/dev/null || fail "missing-tool $tool"; done
}

# Where we are, asked of the kernel: what a shell believes (PWD, `pwd -P`) it may have worked out
# before it went there.
look_around() { here=$(readlink /proc/self/cwd); }

check_inside() {
  look_around
  case $here/ in "$root"/*) ;; *) fail outside ;; esac
}

# Goes one step down, maybe over a link. Where that leads has to be looked at before anything is done there.
enter() { cd -P -- "./$1" 2>/dev/null || return 1; }

why_not_entered() {
  check_inside
  if [ -d "./$1" ]; then fail denied; fi
  if [ -e "./$1" ]; then fail not-a-folder; fi
  fail missing
}

# Goes to a folder, step by step.
go() {
  for step; do enter "$step" || why_not_entered "$step"; done
  check_inside
}

# Removes what uploads that died have left in this folder. A whole piece of a resumable one
# waits an hour for the next.
sweep() {
  for rest in ./.gamgui-upload-*; do
    process=${rest#./.gamgui-upload-}
    process=${process%%-*}
    case $process in
    at)
      if ! since=$(stat -c %Y -- "$rest"); then continue; fi # it has just become another's
      if [ $(($(date +%s) - since)) -gt 3600 ]; then rm -f -- "$rest"; fi
      ;;
    *[!0-9]*) ;;
    *) if [ ! -e "/proc/$process" ]; then rm -f -- "$rest"; fi ;;
    esac
  done 2>/dev/null
}

unset CDPATH
needs readlink
look_around
root=${here%/}
