# shellcheck shell=sh
# Prints how many processes of the container are neither its main process nor this command's own.
# This script runs as any command does, so its own processes are the supervisor that runs it and all
# descendants of that. Commands like this one that run at the same time do not count either: they
# have the same $0.
#   $1  seconds that the helper of process 1 sleeps: a sleep of that length does not count
# Needs: /proc, which containers have, and tr.

kernel() { { IFS= read -r line <"/proc/$1/stat"; } 2>/dev/null; }

# Sets parent and state of a process. The process's name, in brackets before them, may hold anything.
look() {
  kernel "$1" || return 1
  line=${line##*) }
  state=${line%% *}
  line=${line#* }
  parent=${line%% *}
}

# Sets above to the topmost ancestor of a process, which process 1 or somebody outside started.
top() {
  above=$1
  while look "$above" && [ "$parent" -gt 1 ]; do above=$parent; done
  [ "$above" != 1 ]
}

words() { { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null; }

is_helper() {
  [ "$(words "$1")" = "sleep $helper " ] && look "$1" && [ "$parent" = 1 ]
}

# Sets ours to the topmost processes of this command and of others like it, each with a space around.
find_ours() {
  top "$$"
  ours=" $above "
  for process in /proc/[0-9]*; do
    process=${process#/proc/}
    case $(words "$process") in
    *"$0"*) if top "$process"; then ours="$ours$above "; fi ;;
    esac
  done
}

helper=$1
find_ours
count=0
for process in /proc/[0-9]*; do
  process=${process#/proc/}
  if [ "$process" = 1 ] || ! look "$process" || [ "$state" = Z ] || is_helper "$process"; then continue; fi
  top "$process"
  case $ours in *" $above "*) continue ;; esac
  count=$((count + 1))
done
echo "$count"
