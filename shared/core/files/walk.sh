# shellcheck shell=sh
# The beginning of every script here. The scripts run in the session's container, in the workspace, under a
# supervisor. Everything that varies is an argument; nothing is ever inserted into the script.
#
# Other processes of the session may replace folders by links while a script works. A folder in which a
# process stands is pinned: it can be renamed, but it can never leave its volume (rename(2): EXDEV), and the
# workspace is a volume. So a script goes to the folder of a file, checks where that folder is, and from then
# on names only files in it.
#
# A script prints one line, which is "!" and a word when the work cannot be done; then the output that the
# script promises. Needs: stat, readlink and the programs that the script names.

fail() {
  printf '!%s\n' "$1"
  exit 1
}

needs() {
  for tool; do command -v "$tool" >/dev/null || fail "missing-tool $tool"; done
}

# Asks the kernel for the current folder: the shell's own answer (PWD, `pwd -P`) may be older than
# the last step.
look_around() { here=$(readlink /proc/self/cwd); }

check_inside() {
  look_around
  case $here/ in "$root"/*) ;; *) fail outside ;; esac
}

# Goes one step down, maybe through a link. The caller must check where that led before it acts there.
enter() { cd -P -- "./$1" 2>/dev/null || return 1; }

why_not_entered() {
  check_inside
  if [ -d "./$1" ]; then fail denied; fi
  if [ -e "./$1" ]; then fail not-a-folder; fi
  fail missing
}

# Goes to a folder, step by step; with no steps, the folder is the current one.
go() {
  if [ $# = 0 ]; then return; fi # the current folder is meant
  for step; do enter "$step" || why_not_entered "$step"; done
  check_inside
}

# Empties and removes the numbered folders in this folder. Each of them holds only files, which are removed by
# name from inside, because some `rm -r` can be led astray. May end in another folder.
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

# Removes from this folder what died uploads have left. The stored part of a resumable upload waits an hour
# for its next piece.
sweep() {
  for rest in ./.gamgui-upload-*; do
    process=${rest#./.gamgui-upload-}
    process=${process%%-*}
    case $process in
    at)
      if ! since=$(stat -c %Y -- "$rest"); then continue; fi # another process has just renamed it
      if [ $(($(date +%s) - since)) -gt 3600 ]; then rm -f -- "$rest"; fi
      ;;
    *[!0-9]*) ;;
    *) if [ ! -e "/proc/$process" ]; then remove_rest "$rest"; fi ;;
    esac
  done 2>/dev/null
}

# Chooses the program that hashes $1 bytes; the first word that it prints is the SHA-256. The sha256sum of
# most images takes several times as long as programs that use the processor's own instructions, but these
# take long to start.
# shellcheck disable=SC2034 # other scripts use it
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
