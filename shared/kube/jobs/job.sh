#!/bin/sh
# Runs jobs: commands that outlive the request that started them. Everything about a job stands in
# files in a folder of its own, so that any request can follow the job and none has to own it.
#
# It runs as `/bin/sh -c 'eval "$1"'` with these arguments: $0: the job's id, by which its supervisor
# is known among the pod's processes; $1: this text; $2: the folder of all jobs; $3: what to do (a
# function at the end of this file); $4...: the arguments of that function.
#
# In a job's folder:
#   log.N    what the job said, in the order it came; when it is too much, the logs with the
#            lowest N are removed. A reader can begin at the start of any record:
#              g N O E UP       first line of every log: before it came O bytes of standard output
#                               and E bytes of standard error
#              s PID UP         the command has started
#              o AT SIZE UP     SIZE bytes of standard output follow; the first has the offset AT
#              e AT SIZE UP     likewise for standard error
#              l o|e UP         bytes of this stream were lost because the disk was full; how many
#                               is not known
#              x RESULT CODE UP O E REASON    the end, with the bytes of each stream; RESULT is
#                exited, cancelled, timed_out or failed (to start)
#   state    "N SIZE O E": the newest log, its size, and how much of each stream has come
#   begun    "EPOCH UP": when the job was started, by the caller's clock in milliseconds and by the
#            pod's clock; every UP is in seconds by the pod's clock (/proc/uptime)
#   pid      process id of the supervisor
#   started  UP when the command started
#   end      the last record without its x; it exists when the job is over
#   lock     a pipe with one line in it: the process that has read the line may write to the files
#   control  a pipe; a line in it cancels the job
#   w.P, f.P the follower with process id P waits: the process that removes w.P writes a line to the
#            pipe f.P
# Needs: /bin/sh, setsid, sleep, kill, cat, dd, wc, tail, mkfifo, mkdir, mv, rm, ls, du, grep.

script=$1 root=$2 job=$0
newline='
'

uptime() {
  { read -r up _ </proc/uptime || up=$(date +%s); } 2>/dev/null
}

# Whether the supervisor of a job lives. Process ids are used again, so the process must have the
# job's id among its arguments, before this text.
alive() {
  {
    read -r pid <"$root/$1/pid" && kill -0 "$pid" || return 1
    [ -e /proc/self/cmdline ] || return 0
    IFS= read -r line <"/proc/$pid/cmdline"
  } 2>/dev/null
  case $line in *"$1"*) return 0 ;; esac
  return 1
}

# Sleeps. A TERM to this shell also ends the sleep, so that no process is left over. It does so by
# KILL: a process that has just been forked still has this shell's handlers and would lose a TERM.
nap() {
  before=$!
  trap '[ "$!" = "$before" ] || kill -KILL "$!"; exit 0' TERM
  sleep "$1" &
  wait "$!"
}

# Sets next to the lowest log number above $1, or to nothing when there is none.
next_log() {
  next=
  for log in log.*; do
    log=${log#log.}
    if [ "$log" != '*' ] && [ "$log" -gt "$1" ] && [ "$log" -lt "${next:-999999999}" ]; then next=$log; fi
  done
}

# --- The supervisor --------------------------------------------------------------------------

# Asks the command to end, and kills it after five seconds.
finish() {
  kill -TERM "-$command" || kill -TERM "$command"
  nap 5
  kill -KILL "-$command"
}

# Wakes the followers that wait. Opening a pipe for reading too does not block when nobody reads it.
notify() {
  for waiting in w.*; do
    [ -e "$waiting" ] || return 0
    rm -f "$waiting"
    [ ! -p "f.${waiting#w.}" ] || echo 1<>"f.${waiting#w.}"
  done
}

# Adds a record to the newest log: the line $1 and, when $2 is given, the file $2 of $3 bytes. The
# newest sixteen logs are kept. On a full disk the oldest log is removed earlier; when there is no
# other log, the job waits.
record() {
  if [ "$((size + ${3-0}))" -gt "$segment" ]; then
    n=$((n + 1)) size=0
    rm -f "log.$((n - 16))"
    record "g $n $out $err $up"
  fi
  until { echo "$1" && { [ -z "${2-}" ] || cat "$2"; }; } >>"log.$n"; do
    # The part of the record that was written is written again, the same: nothing changes for a reader.
    dd if=/dev/null of="log.$n" bs=1 seek="$size"
    [ -e state ] || exit 1 # somebody removed the folder
    next_log -1
    if [ "$next" = "$n" ]; then sleep 1; else rm -f "log.$next"; fi
  done
  size=$((size + ${#1} + 1 + ${3-0}))
}

lock() { read -r _ <&8 && read -r n size out err <state; }
unlock() {
  # The line has a constant length and the file is never cut off, as readers do not take the lock.
  printf '%10s %10s %20s %20s\n' "$n" "$size" "$out" "$err" 1<>state
  notify
  echo >&8
}

# Copies one stream of the command to the log, piece by piece as it comes. The last line of dd says
# how many bytes it has copied; where it does not, wc counts them.
take() {
  lost=
  while :; do
    bytes=$(dd bs="$piece" count=1 2>&1 >"piece.$1") || lost=1
    bytes=${bytes##*"$newline"}
    bytes=${bytes%% *}
    case $bytes in *[!0-9]* | '') bytes=$(($(wc -c <"piece.$1"))) ;; esac
    [ ! -e stop ] || break
    if [ "$bytes" = 0 ]; then
      [ -n "$lost" ] || break
      sleep 1
      continue
    fi
    uptime
    lock
    [ -z "$lost" ] || record "l $1 $up"
    lost=
    case $1 in
    o) record "o $out $bytes $up" piece.o "$bytes"; out=$((out + bytes)) ;;
    e) record "e $err $bytes $up" piece.e "$bytes"; err=$((err + bytes)) ;;
    esac
    unlock
  done
}

# supervise BOUND LIMIT LAUNCH COUNT FOLDER VARIABLES... COMMAND...
# BOUND: bytes that the logs may take; LIMIT: seconds, 0: no limit; the rest is for launch.sh.
supervise() {
  segment=$(($1 / 17)) limit=$2 launch=$3 # a seventeenth is left for what is not output
  piece=65536                             # what a pipe holds
  [ "$segment" -ge "$piece" ] || piece=$segment
  shift 3
  cd "$root/$job" || exit 1
  exec 7<>control 8<>lock
  # Overwrites in place the pid that start wrote: a file that is cut off is empty for a moment.
  echo "$$" 1<>pid
  take o <out 7>&- &
  takers=$!
  take e <err 7>&- &
  takers="$takers $!"
  setsid /bin/sh -c "$launch" "$job" "$@" <in >out 2>err 5>launched 7>&- 8>&- &
  command=$!
  uptime
  n=0 size=0 out=0 err=0
  record "g 0 0 0 $up"
  record "s $command $up"
  echo "$up" >started
  unlock
  echo 1<>ready
  helpers=
  if [ "$limit" != 0 ]; then
    { nap "$limit"; : >timed_out; finish; } 7>&- 8>&- &
    helpers=$!
  fi
  { read -r _ <&7; : >cancelled; finish; } 8>&- &
  helpers="$helpers $!"

  wait "$command"
  code=$?
  kill -KILL "-$command"
  # A process that has left the command's group may keep its output open. It is no part of the job,
  # so the copying stops after two seconds.
  { nap 2; : >stop; echo 1<>out; echo 1<>err; } 7>&- 8>&- &
  helpers="$helpers $!"
  for taker in $takers; do wait "$taker"; done
  for helper in $helpers; do kill "$helper"; done
  conclude
}

conclude() {
  result=exited
  [ ! -e timed_out ] || result=timed_out
  [ ! -e cancelled ] || result=cancelled
  read -r _ mark reason <launched
  if [ "$mark" = '!' ]; then result=failed; else reason=; fi
  reason=$(printf '%.1000s' "$reason") # a record has an end, a program's name has none
  uptime
  lock
  ending="$result $code $up $out $err $reason"
  record "x $ending"
  echo "$ending" >end.new && mv end.new end
  rm -f in out err piece.* launched ready
  unlock
}

# --- What is asked of jobs -------------------------------------------------------------------

# status JOB...: prints one line for each job: JOB STATE; unless STATE is unknown, O E EPOCH UP
# STARTED; and when the job has ended, the content of the file end. STATE is queued, running, ended,
# dead or unknown.
status() {
  for one; do
    if ! cd "$root/$one" 2>/dev/null; then
      echo "$one unknown"
      continue
    fi
    out=0 err=0 epoch=0 since=0 start=- ending=
    { read -r epoch since <begun && read -r _ _ out err <state && read -r start <started; } 2>/dev/null
    if [ -e end ]; then
      state=ended
    elif [ ! -e pid ]; then
      state=queued
    elif alive "$one"; then
      if [ "$start" = - ]; then state=queued; else state=running; fi
    elif [ -e end ]; then
      state=ended
    else
      state=dead
    fi
    [ "$state" != ended ] || read -r ending <end
    printf '%s %.2000s\n' "$one $state $out $err $epoch $since $start" "$ending"
  done
}

# Whether one more job may run. When it would have no room, output of the oldest finished jobs goes.
admit() {
  running=0
  set -- j*
  for one; do
    if [ ! -e "$one/end" ] && alive "$one"; then running=$((running + 1)); fi
  done
  [ "$running" -le "$most" ] || return 1
  [ "$#" -gt "$most" ] || return 0 # there is room for so many jobs, however much they say
  left=$(((room - running * bound) / 1024))
  # shellcheck disable=SC2046 # job ids are single words; the newest first
  du -sk $(ls -dt j*) | while read -r used one; do
    [ -e "$one/end" ] || continue
    left=$((left - used))
    [ "$left" -ge 0 ] || rm -f "$one"/log.*
  done
  for torn in in.*; do
    kill -0 "${torn#in.}" || rm -f "$torn"
  done 2>/dev/null
}

# start BOUND ROOM MOST EPOCH INPUT LIMIT LAUNCH COUNT FOLDER VARIABLES... COMMAND...
# ROOM: bytes that all jobs may take; MOST: how many jobs may be unfinished; INPUT: bytes of the
# command's input, which is this shell's standard input. Starts the job unless its folder exists,
# and prints its status; or "JOB many" when there are too many jobs, "JOB torn" when not all of the
# input came.
start() {
  bound=$1 room=$2 most=$3 epoch=$4 input=$5
  shift 5
  umask 077
  [ -d "$root" ] || mkdir -p "$root"
  cd "$root" && if [ "$input" = 0 ]; then : >"in.$$"; else cat >"in.$$"; fi || exit 1
  if [ "$input" != 0 ] && [ "$(($(wc -c <"in.$$")))" != "$input" ]; then
    rm -f "in.$$"
    echo "$job torn"
  elif ! mkdir "$job" 2>/dev/null; then
    rm -f "in.$$"
    status "$job"
  elif mv "in.$$" "$job/in" && echo "$$" >"$job/pid" && admit; then
    cd "$job" || exit 1
    uptime
    printf '%10s %10s %20s %20s\n' 0 0 0 0 >state
    echo "$epoch $up" >begun
    mkfifo control lock out err ready || exit 1
    exec 6<>ready
    # shellcheck disable=SC2016 # for the inner shell
    setsid /bin/sh -c 'eval "$1"' "$job" "$script" "$root" supervise "$bound" "$@" \
      </dev/null >/dev/null 2>&1 6>&- &
    read -r _ <&6
    status "$job"
  else
    rm -rf "${job:?}"
    echo "$job many"
  fi
}

# cancel: ends the job, and prints its status when the job has ended.
cancel() {
  cd "$root/$job" 2>/dev/null && while [ ! -e end ] && alive "$job"; do
    echo 1<>control
    sleep 0.1 2>/dev/null || sleep 1
  done
  status "$job"
}

# follow N SIZE once|on: prints "t EPOCH UP" from the file begun; then the logs from byte SIZE of
# log N on: with once as they are now, with on also as they grow until the job's end. If the
# supervisor is dead, so that no end will come, it prints a record "x dead". If there is no such
# job, it prints only "unknown".
follow() {
  cd "$root/$job" 2>/dev/null || { echo unknown; return; }
  n=$1 skip=$2 mode=$3
  read -r epoch since <begun
  echo "t $epoch $since"
  rm -f "f.$$" && mkfifo "f.$$" && exec 5<>"f.$$" || exit 1
  while sleep 5; do echo t; done >&5 2>/dev/null &
  ticker=$!
  trap 'kill "$ticker"; rm -f "f.$$" "w.$$"' EXIT
  if [ ! -e "log.$n" ]; then
    skip=0
    next_log "$n"
    n=$next
  fi
  if [ -z "$n" ]; then # all output was removed
    read -r n _ out err <state
    echo "g $n $out $err 0"
    if [ -e end ]; then echo "x $(cat end)"; fi
    return
  fi
  exec 4<"log.$n"
  # tail reads to the end and leaves the descriptor there, so that the next cat reads what comes later.
  tail -c "+$((skip + 1))" <&4
  while :; do
    : >"w.$$"
    cat <&4
    next_log "$n"
    if [ -n "$next" ]; then
      cat <&4 # nothing is added to a log that has a newer one
      n=$next
      exec 4<"log.$n"
    elif [ -e end ]; then
      cat <&4
      return
    elif [ "$mode" = once ]; then
      return
    elif read -r tick <&5 && [ "$tick" = t ] && ! alive "$job" && [ ! -e end ]; then
      uptime
      read -r _ _ out err <state
      echo "x dead - $up $out $err"
      return
    fi
  done
}

shift 2
"$@"
