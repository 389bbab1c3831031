#!/bin/sh
# shellcheck disable=SC2034,SC2154 # the first line of input sets and uses variables
# Runs one command for an exec: in a process group of its own, with the caller's variables and
# folder. The command is ended when its time is over or when its caller is gone.
#
# The whole script is sent as `/bin/sh -c` with two arguments after it: $0, a random tag, and $1,
# the script that becomes the command (launch.sh). What to run comes as the first line of
# standard input, so that no argument or variable of the caller's ever stands in a URL, which
# the API server writes to its audit log (kubernetes#97795). The line is shell code made by
# command_line() in supervisor.py:
#   gamgui_env    how many variables the caller has given
#   gamgui_dir    folder to run in
#   gamgui_path   "own": the command finds programs as the container does; "system": as we do
#   gamgui_limit  seconds after which the command is ended
#   gamgui_stdin  "caller": the rest of standard input is the command's own. This shell must
#                 read what the command leaves unread, or the server waits for ever: when the
#                 command has ended, this shell reads until the input ends;
#                 "none": standard input is a lifeline: its end means that the caller is gone
#   $1...         the variables, NAME=value, then the command
# In that line, $1 stands for a newline.
# This shell or launch.sh writes the first line on standard error: "<tag> <pid of this shell>
# <pid of the command>", or "<tag> ! <why the command cannot start>". When the command has ended,
# this shell writes "<tag> . <exit code in three digits>" on standard error and on standard output:
# a process that the command has left behind may hold them open for as long as it likes.
# Needs: /bin/sh, setsid, sleep, kill, cat, grep.

# The system's folders come first, so that our programs are the image's; launch.sh takes them off again.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin${PATH:+:$PATH}
gamgui_n='
'
gamgui_launch=$1
set -- "$gamgui_n"
IFS= read -r gamgui_line || exit 125
eval "$gamgui_line"
exec 3<&0 </dev/null

# Sleeps. A TERM to this shell also ends the sleep, so that no process is left over. It does so by
# KILL: a process that has just been forked still has this shell's handlers and would lose a TERM.
nap() {
  gamgui_before=$!
  trap '[ "$!" = "$gamgui_before" ] || kill -KILL "$!"; exit 0' TERM
  sleep "$1" &
  wait "$!"
}

# Asks the command to end, and kills it after five seconds. Just after its start it has no group yet.
finish() {
  kill -TERM "-$gamgui_pid" || kill -TERM "$gamgui_pid"
  nap 5
  kill -KILL "-$gamgui_pid"
}

# Ends this shell, if it is still the same process: it may be waiting for a reader that is gone.
leave() { ! grep -q -- "$0" "/proc/$$/cmdline" || kill -KILL "$$"; }

# Kubernetes calls a pod ready when its main process has been started. That process makes the home,
# which takes some milliseconds, and then creates .copied (see shared/kube/credentials/copying.py).
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

{ nap "$gamgui_limit"; finish; nap 600; leave; } >/dev/null 2>&1 3<&- &
gamgui_timer=$!
gamgui_lifeline=
if [ "$gamgui_stdin" = none ]; then
  { while read -r _ <&3; do :; done; finish; leave; } >/dev/null 2>&1 &
  gamgui_lifeline=$!
fi
exec 4>&2 2>/dev/null

wait "$gamgui_pid"
gamgui_status=$?
kill -KILL "-$gamgui_pid"
# Writing waits for a reader. When there will be none, the lifeline ends this shell; the timer does so
# for a command with input of the caller's. No helper may end while this shell writes: some shells
# give up a write that a signal has interrupted, that of a child's end too.
trap '' PIPE
if [ -n "$gamgui_lifeline" ]; then
  kill "$gamgui_timer"
  wait "$gamgui_timer"
  gamgui_timer=
fi
printf '%s . %03d\n' "$0" "$gamgui_status" >&4
printf '%s . %03d\n' "$0" "$gamgui_status"
if [ "$gamgui_stdin" = caller ]; then cat <&3 >/dev/null; fi
for gamgui_helper in $gamgui_timer $gamgui_lifeline; do kill "$gamgui_helper"; done
exit "$gamgui_status"
