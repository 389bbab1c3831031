#!/bin/sh
# The last step before a command: with the caller's variables and in the caller's folder, this
# shell becomes the command, or says why it cannot.
#
# Sent as `/bin/sh -c` with, after it, $0: a tag; $1: shell code that exports the variables;
# $2: the folder; $3...: the command. Standard output, input and error are the command's.
# Says on descriptor 5 "<tag> <pid of its parent> <pid of the command>", or "<tag> ! <why not>"
# and exits with 127 (not found) or 126, as shells do.

# PATH is the container's own behind what the supervisor put in front of it for itself.
PATH=${PATH#/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:}
# A variable of the caller's may be called PPID too, but is none of the arguments.
set -- "$PPID" "$@"

fail() {
  printf '%s ! %s\n' "$0" "$2" >&5
  exit "$1"
}

eval "$2"
if ! cd -- "$3" 2>/dev/null; then
  if [ -d "$3" ]; then fail 126 'workdir: permission denied'; else fail 127 'workdir: no such directory'; fi
fi
# Names that no caller's variable has: an exported one would be changed for the command.
gamgui_parent=$1
shift 3
case "$1" in
*/*)
  if [ -d "$1" ]; then fail 126 "$1: is a directory"; fi
  if [ ! -e "$1" ]; then fail 127 "$1: not found"; fi
  if [ ! -x "$1" ]; then fail 126 "$1: permission denied"; fi
  ;;
*)
  gamgui_found=
  gamgui_ifs=$IFS
  IFS=:
  for gamgui_folder in $PATH; do
    if [ -f "${gamgui_folder:-.}/$1" ] && [ -x "${gamgui_folder:-.}/$1" ]; then
      gamgui_found=1
      break
    fi
  done
  IFS=$gamgui_ifs
  if [ -z "$gamgui_found" ]; then fail 127 "$1: executable file not found in \$PATH"; fi
  ;;
esac
printf '%s %s %s\n' "$0" "$gamgui_parent" "$$" >&5
exec "$@" 5>&-
