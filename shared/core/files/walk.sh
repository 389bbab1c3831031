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
  if [ $# = 0 ]; then return; fi # here is where we are
  for step; do enter "$step" || why_not_entered "$step"; done
  check_inside
}

# Empties and removes the folders in this one, of which each holds files alone: by their names,
# standing beside them, as some `rm -r` can be led astray. May end in another folder.
empty_numbers() {
  for folder in [0-9]*; do
    if rmdir -- "./$folder"; then continue; fi
    (
      within=$here/$folder
      enter "$folder" || exit
      look_around
      if [ "$here" != "$within" ]; then exit; fi
      set --
      for name in * .[!.]* ..?*; do
        set -- "$@" "./$name"
        if [ $# -ge 200 ]; then
          rm -f -- "$@"
          set --
        fi
      done
      rm -f -- "$@"
    )
    rmdir -- "./$folder"
  done
}

remove_rest() {
  if [ -L "$1" ] || [ ! -d "$1" ]; then
    rm -f -- "$1"
    return
  fi
  (
    within=$here/${1#./}
    enter "$1" || exit
    look_around
    if [ "$here" = "$within" ]; then empty_numbers; fi
  )
  rmdir -- "$1"
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
    *) if [ ! -e "/proc/$process" ]; then remove_rest "$rest"; fi ;;
    esac
  done 2>/dev/null
}

# Chooses what hashes so many bytes; its first word is their SHA-256. The sha256sum of most images takes
# several times as long as what uses the processor's own instructions for it, which takes long to start.
# shellcheck disable=SC2034 # others use it
choose_hasher() {
  hasher=sha256sum
  if [ "$1" -lt 33554432 ]; then return; fi
  for found in with_openssl with_python; do
    case $(printf abc | $found 2>/dev/null) in
    ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad*)
      hasher=$found
      return
      ;;
    esac
  done
}

with_openssl() { openssl dgst -sha256 -r; }

with_python() {
  python3 -ISc '
import hashlib, sys
hashed = hashlib.sha256()
while True:
    data = sys.stdin.buffer.read(262144)
    if not data:
        break
    hashed.update(data)
print(hashed.hexdigest())'
}

unset CDPATH
needs readlink
look_around
root=${here%/}
