# shellcheck shell=sh disable=SC2154 # walk.sh stands before this
# Reads a file: $1 is its name, $2... its folder.
#
# Says "SIZE MTIME MODE INODE CTIME" (seconds; octal; the change in nanoseconds, as a date).
# Then reads a line, "FIRST LENGTH": the bytes that are wanted; none when nothing is. Says
# their SHA-256 and sends them. Ends with 0 only if the file has not changed meanwhile.

needs stat sha256sum cat dd head
name=$1
shift
go "$@"
if [ -d "./$name" ]; then fail folder; fi
if [ ! -e "./$name" ]; then fail missing; fi
# To open a pipe would be to wait for who writes to it.
if [ ! -f "./$name" ]; then fail not-a-file; fi
if [ ! -r "./$name" ]; then fail denied; fi
{ command exec 3<"./$name"; } 2>/dev/null || fail missing
# It is open; now it is seen what it is.
case $(readlink /proc/self/fd/3) in "$root"/*) ;; *) fail outside ;; esac
if [ ! -f /proc/self/fd/3 ]; then fail not-a-file; fi

# Not the time of its change: that is also when another file takes its place and it goes on without a name.
content_state() { stat -L -c '%s %y' /proc/self/fd/3; }

content() {
  if [ "$first $length" = "0 $size" ]; then
    cat
  else
    dd bs=1 skip="$first" count=0 2>/dev/null # goes there, reads nothing
    head -c "$length"
  fi
}

before=$(content_state)
size=${before%% *}
stat -L -c '%s %Y %a %i %z' /proc/self/fd/3
read -r first length || exit 0
choose_hasher "$length"
sum=$(content </proc/self/fd/3 | $hasher)
printf '%s\n' "${sum%% *}"
content </proc/self/fd/3
[ "$(content_state)" = "$before" ]
