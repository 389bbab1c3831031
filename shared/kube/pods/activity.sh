# shellcheck shell=sh
# Says how many processes of the container are neither its main one nor this command's own.
# Runs as any command does, so its own are all that descend from the supervisor that runs it.
#   $1  process id 1's own helper: the seconds that it sleeps
# Others like it that run at the same time are no work either: they have the same $0.
# Needs: /proc, which containers have, and tr.

kernel() { { IFS= read -r line <"/proc/$1/stat"; } 2>/dev/null; }

# Sets parent and state of a process; its name, in brackets, may hold anything.
look() {
  kernel "$1" || return 1
  line=${line##*) }
  state=${line%% *}
  line=${line#* }
  parent=${line%% *}
}

# The process over all of those that were started with this one: from outside, or by process 1.
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
