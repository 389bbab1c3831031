#!/bin/sh
# The last step before a command: with the caller's variables and in the caller's folder, this
# shell becomes the command, or says why it cannot.
#
# The supervisor runs this as `/bin/sh -c` with these arguments: $0: a tag; $1: the number of
# variables; $2: the folder; $3: which folders PATH names first: "own" for those of the container,
# "system" for those that the supervisor puts first for itself; $4...: the variables, NAME=value;
# then the command. Standard output, input and error are the command's. This shell writes one line
# to descriptor 5: "<tag> <pid of its parent> <pid of the command>", or "<tag> ! <why not>". In the
# second case it exits with 127 (not found) or 126, as shells do.
# env sets the caller's variables, not this shell: in a shell UID may be read-only, PPID and IFS
# have a meaning, and LC_ALL makes some shells print a warning.
# Needs: env, when there are variables.

fail() {
  printf '%s ! %s\n' "$0" "$2" >&5
  exit "$1"
}

if [ "$3" = own ]; then PATH=${PATH#/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:}; fi
gamgui_count=$1
if ! cd -- "$2" 2>/dev/null; then
  if [ -d "$2" ]; then fail 126 'workdir: permission denied'; else fail 127 'workdir: no such directory'; fi
fi
shift 3
gamgui_path=$PATH
gamgui_left=$gamgui_count
for gamgui_program; do
  [ "$gamgui_left" != 0 ] || break
  case $gamgui_program in PATH=*) gamgui_path=${gamgui_program#PATH=} ;; esac
  gamgui_left=$((gamgui_left - 1))
done
case "$gamgui_program" in
*/*)
  if [ -d "$gamgui_program" ]; then fail 126 "$gamgui_program: is a directory"; fi
  if [ ! -e "$gamgui_program" ]; then fail 127 "$gamgui_program: not found"; fi
  if [ ! -x "$gamgui_program" ]; then fail 126 "$gamgui_program: permission denied"; fi
  ;;
*)
  # No caller's variable has these names: to assign an exported variable would change it for the command.
  gamgui_found=
  gamgui_ifs=$IFS
  IFS=:
  for gamgui_folder in $gamgui_path; do
    if [ -f "${gamgui_folder:-.}/$gamgui_program" ] && [ -x "${gamgui_folder:-.}/$gamgui_program" ]; then
      gamgui_found=1
      break
    fi
  done
  IFS=$gamgui_ifs
  if [ -z "$gamgui_found" ]; then fail 127 "$gamgui_program: executable file not found in \$PATH"; fi
  ;;
esac
case $gamgui_count:$gamgui_program in
0:*) ;;
*=*)
  # env would take a program with such a name for a variable, so here this shell sets the variables.
  while [ "$gamgui_count" != 0 ]; do
    export "${1?}"
    shift
    gamgui_count=$((gamgui_count - 1))
  done
  ;;
*)
  if ! command -v env >/dev/null; then fail 127 "env: executable file not found in \$PATH"; fi
  set -- env "$@"
  # A container may have no PATH. Then a shell has a default one, and env must search the same folders.
  export PATH
  ;;
esac
printf '%s %s %s\n' "$0" "$PPID" "$$" >&5
exec "$@" 5>&-
