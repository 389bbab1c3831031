#!/bin/sh
# Runs jobs: commands that outlive the request that started them. All that is to be known of a
# job stands in files in a folder of its own, so that anybody can follow it and nobody owns it.
#
# Sent as `/bin/sh -c 'eval "$1"'` with, after it, $0: the job's id, by which its supervisor is known
# among the pod's processes; $1: this text; $2: the folder of all jobs; $3: what to do (a
# function at the end of this file); $4...: its arguments.
#
# In a job's folder:
#   log.N    what the job said, in the order it came; the oldest N are removed when it is too
#            much. It can be read from the start of any record:
#              g N O E UP       first line of every log; so many bytes of each stream came before
#              s PID UP         the command has started
#              o AT SIZE UP     SIZE bytes of standard output follow, the stream's from AT on
#              e AT SIZE UP     likewise standard error
#              l o|e UP         bytes of a stream were lost, nobody knows how many: the disk is full
#              x RESULT CODE UP O E REASON    the end, with the bytes of each stream; RESULT is
#                exited, cancelled, timed_out or failed (to start)
#   state    "N SIZE O E": the newest log, its size, and how much of each stream has come
#   begun    "EPOCH UP": the time when it was started, in milliseconds, as the caller has it, and
#            by the pod's clock; UP is always in seconds by the latter (/proc/uptime)
#   pid      of the supervisor
#   started  UP when the command started
#   end      the last record without its x, when all is over
#   lock     a pipe with one line in it: who has read it may write to the files
#   control  a pipe; a line in it cancels the job
#   w.P, f.P a follower waits: whoever removes w.P writes a line to the pipe f.P
# Needs: /bin/sh, setsid, sleep, kill, cat, dd, wc, tail, mkfifo, mkdir, mv, rm, ls, du, grep.

script=$1 root=$2 job=$0
newline='
'

uptime() {
  { read -r up _ </proc/uptime || up=$(date +%s); } 2>/dev/null
}

# Whether the supervisor of a job lives. Process ids are used again: it must have the job's id
# among its arguments, before this text.
alive() {
  {
    read -r pid <"$root/$1/pid" && kill -0 "$pid" || return 1
    [ -e /proc/self/cmdline ] || return 0
    IFS= read -r line <"/proc/$pid/cmdline"
  } 2>/dev/null
  case $line in *"$1"*) return 0 ;; esac
  return 1
}

# Sleeps; a TERM to this shell ends the sleep too, so that nothing is left over. By KILL: what has
# just been forked still has this shell's handlers, and loses a TERM.
nap() {
  before=$!
  trap '[ "$!" = "$before" ] || kill -KILL "$!"; exit 0' TERM
  sleep "$1" &
  wait "$!"
}

# The oldest log behind log number $1; nothing when there is none.
next_log() {
  next=
  for log in log.*; do
    log=${log#log.}
    if [ "$log" != '*' ] && [ "$log" -gt "$1" ] && [ "$log" -lt "${next:-999999999}" ]; then next=$log; fi
  done
}

# --- The supervisor --------------------------------------------------------------------------

# Asks the command to end, and insists after five seconds.
finish() {
  kill -TERM "-$command" || kill -TERM "$command"
  nap 5
  kill -KILL "-$command"
}

# Wakes the followers that wait. Opened for reading too, a pipe that nobody reads does not block.
notify() {
  for waiting in w.*; do
    [ -e "$waiting" ] || return 0
    rm -f "$waiting"
    [ ! -p "f.${waiting#w.}" ] || echo 1<>"f.${waiting#w.}"
  done
}

# Adds a record to the newest log: a line and, when $2 is given, a file of $3 bytes. The newest
# sixteen logs are kept. On a full disk the oldest goes before its time, or the job waits.
record() {
  if [ "$((size + ${3-0}))" -gt "$segment" ]; then
    n=$((n + 1)) size=0
    rm -f "log.$((n - 16))"
    record "g $n $out $err $up"
  fi
  until { echo "$1" && { [ -z "${2-}" ] || cat "$2"; }; } >>"log.$n"; do
    # What was written of the record is written again: to whoever has read it, nothing changes.
    dd if=/dev/null of="log.$n" bs=1 seek="$size"
    [ -e state ] || exit 1 # somebody removed the folder
    next_log -1
    if [ "$next" = "$n" ]; then sleep 1; else rm -f "log.$next"; fi
  done
  size=$((size + ${#1} + 1 + ${3-0}))
}

lock() { read -r _ <&8 && read -r n size out err <state; }
unlock() {
  # Of constant length and never cut off: readers do not take the lock.
  printf '%10s %10s %20s %20s\n' "$n" "$size" "$out" "$err" 1<>state
  notify
  echo >&8
}

# Takes one stream of the command, piece by piece as it comes, to the log. dd says last how many
# bytes it has copied; where it does not, they are counted.
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
# BOUND: bytes that the logs may take; LIMIT: seconds, or 0; the rest is for launch.sh.
supervise() {
  segment=$(($1 / 17)) limit=$2 launch=$3 # a seventeenth is left for what is not output
  piece=65536                             # what a pipe holds
  [ "$segment" -ge "$piece" ] || piece=$segment
  shift 3
  cd "$root/$job" || exit 1
  exec 7<>control 8<>lock
  echo "$$" 1<>pid # overwritten, as start wrote its own: a file that is cut off is empty for a moment
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
  # What has left the command's group may keep its output open: it is no part of the job.
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

# status JOB...: one line for each: JOB STATE, and unless it is unknown, O E EPOCH UP STARTED and,
# when it has ended, what is in the file end. STATE is queued, running, ended, dead or unknown.
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

# Whether one job more may run. Output of the oldest finished jobs goes when it would have no room.
admit() {
  running=0
  set -- j*
  for one; do
    if [ ! -e "$one/end" ] && alive "$one"; then running=$((running + 1)); fi
  done
  [ "$running" -le "$most" ] || return 1
  [ "$#" -gt "$most" ] || return 0 # there is room for as many, whatever they say
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
# ROOM: bytes that all jobs may take; MOST: how many may be unfinished; INPUT: size of the
# command's input, which is ours. Starts the job unless it is there, and tells its status; or
# "JOB many" when there are too many, "JOB torn" when not all of the input came.
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

# cancel: ends the job, and tells its status when it has ended.
cancel() {
  cd "$root/$job" 2>/dev/null && while [ ! -e end ] && alive "$job"; do
    echo 1<>control
    sleep 0.1 2>/dev/null || sleep 1
  done
  status "$job"
}

# follow N SIZE once|on: "t EPOCH UP", the file begun; then the logs as they are from that place
# on, and until the job's end as they grow. What will never end so ends with a record "x dead".
# Or "unknown", when there is no such job.
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
  # Reads to the end, and leaves the descriptor there: what comes later is read by the next cat.
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
