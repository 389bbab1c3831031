#!/bin/sh
# shellcheck disable=SC2034,SC2154 # the first line of input sets and uses variables
# Runs one command for an exec: in a process group of its own, with the caller's
# variables and folder, ended when its time is over or when its caller is gone.
#
# It is sent whole as `/bin/sh -c` with two arguments after it: $0, a random tag, and $1, the
# script that becomes the command (launch.sh). What is to be run comes as the first line of
# standard input, so that no argument or variable of the caller's ever stands in a URL, which
# the API server writes to its audit log (kubernetes#97795). The line is shell code made by
# command_line() in supervisor.py:
#   gamgui_env    how many variables of the caller's there are
#   gamgui_dir    folder to run in
#   gamgui_path   "own": the command finds programs as the container does; "system": as we do
#   gamgui_limit  seconds after which the command is ended
#   gamgui_stdin  "caller": the rest of standard input is the command's own. What it
#                 does not read must be read by us, or the server waits for ever: at
#                 its end we say "<tag> ." on standard error and read until the input ends;
#                 "none": it is a lifeline: its end means that the caller is gone
#   $1...         the variables, NAME=value, then the command
# In it, $1 stands for a newline.
# The first line on standard error is ours: "<tag> <pid of this shell> <pid of the command>",
# or "<tag> ! <why the command cannot start>".
# Needs: /bin/sh, setsid, sleep, kill, cat.

# What we run is the image's, whatever PATH says; launch.sh takes the front off again.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin${PATH:+:$PATH}
gamgui_n='
'
gamgui_launch=$1
set -- "$gamgui_n"
IFS= read -r gamgui_line || exit 125
eval "$gamgui_line"
exec 3<&0 </dev/null

# Sleeps; a TERM to this shell ends the sleep too, so that nothing is left over. By KILL: what has
# just been forked still has this shell's handlers, and loses a TERM.
nap() {
  gamgui_before=$!
  trap '[ "$!" = "$gamgui_before" ] || kill -KILL "$!"; exit 0' TERM
  sleep "$1" &
  wait "$!"
}

# Asks the command to end, and insists after five seconds. At first it has no group yet.
finish() {
  kill -TERM "-$gamgui_pid" || kill -TERM "$gamgui_pid"
  nap 5
  kill -KILL "-$gamgui_pid"
}

# Kubernetes calls a pod ready when its main process has been started; credentials.py says when
# that has made the home. It takes some milliseconds.
gamgui_try=0
while [ -d /var/lib/gamgui/jobs ] && [ ! -e /var/lib/gamgui/jobs/.copied ] && [ "$gamgui_try" -lt 100 ]; do
  sleep 0.1 2>/dev/null || sleep 1
  gamgui_try=$((gamgui_try + 1))
done

if [ "$gamgui_stdin" = caller ]; then
  setsid /bin/sh -c "$gamgui_launch" "$0" "$gamgui_env" "$gamgui_dir" "$gamgui_path" "$@" 5>&2 <&3 3<&- &
else
  setsid /bin/sh -c "$gamgui_launch" "$0" "$gamgui_env" "$gamgui_dir" "$gamgui_path" "$@" 5>&2 3<&- &
fi
gamgui_pid=$!

{ nap "$gamgui_limit"; finish; } >/dev/null 2>&1 3<&- &
gamgui_timer=$!
gamgui_lifeline=
if [ "$gamgui_stdin" = none ]; then
  { while read -r _ <&3; do :; done; finish; } >/dev/null 2>&1 &
  gamgui_lifeline=$!
fi
exec 4>&2 2>/dev/null

wait "$gamgui_pid"
gamgui_status=$?
kill -KILL "-$gamgui_pid"
if [ "$gamgui_stdin" = caller ]; then
  printf '%s .\n' "$0" >&4
  cat <&3 >/dev/null
fi
for gamgui_helper in $gamgui_timer $gamgui_lifeline; do kill "$gamgui_helper"; done
exit "$gamgui_status"
