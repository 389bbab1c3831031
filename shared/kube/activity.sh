# shellcheck shell=sh
# Says how many processes of the container are neither its main one nor this command's own.
# Runs as any command does, so its own are all that descend from the supervisor that runs it.
#   $1  process id 1's own helper: the seconds that it sleeps
# Another one of these that runs at the same time is no work either: it has the same $0.
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
}

words() { { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null; }

ours() {
  case $(words "$1") in
  "sleep $helper ") look "$1" && [ "$parent" = 1 ] ;;
  *"$0"*) return 0 ;;
  *) return 1 ;;
  esac
}

helper=$1
top "$$"
mine=$above
count=0
for process in /proc/[0-9]*; do
  process=${process#/proc/}
  if [ "$process" = 1 ] || ! look "$process" || [ "$state" = Z ]; then continue; fi
  top "$process"
  if [ "$above" = "$mine" ] || ours "$process"; then continue; fi
  count=$((count + 1))
done
echo "$count"
