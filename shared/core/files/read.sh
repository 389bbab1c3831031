# shellcheck shell=sh disable=SC2154 # walk.sh stands before this
# Reads a file: $1 is its name, $2... are the steps to its folder.
#
# Prints "SIZE MTIME MODE INODE CTIME" (seconds; octal; a date with nanoseconds). Then reads a line,
# "FIRST LENGTH", which says which bytes are wanted; there is no line if none are wanted. Prints their SHA-256
# and sends them. Ends with 0 only if the file has not changed meanwhile.

needs stat sha256sum cat dd head
name=$1
shift
go "$@"
if [ -d "./$name" ]; then fail folder; fi
if [ ! -e "./$name" ]; then fail missing; fi
# Opening a pipe would wait for a process that writes to it.
if [ ! -f "./$name" ]; then fail not-a-file; fi
if [ ! -r "./$name" ]; then fail denied; fi
{ command exec 3<"./$name"; } 2>/dev/null || fail missing
# The file is open, so nothing can replace it any more; now check what it is.
case $(readlink /proc/self/fd/3) in "$root"/*) ;; *) fail outside ;; esac
if [ ! -f /proc/self/fd/3 ]; then fail not-a-file; fi

# The ctime is left out: it also changes when another file replaces this one, which lives on without a name.
content_state() { stat -L -c '%s %y' /proc/self/fd/3; }

content() {
  if [ "$first $length" = "0 $size" ]; then
    cat
  else
    dd bs=1 skip="$first" count=0 2>/dev/null # skips without reading
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
