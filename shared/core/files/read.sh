# shellcheck shell=sh disable=SC2154 # walk.sh stands before this
# Reads a file: $1 is its name, $2... are the steps to its folder.
#
# Prints "SIZE MTIME MODE INODE CTIME" (seconds; octal; a date with nanoseconds). Then reads a line,
# "FIRST LENGTH", which says which bytes are wanted; there is no line if none are wanted. Prints their SHA-256
# and sends them. What a process appends to the file meanwhile is left out. Prints "!changed", or ends with 3,
# if the file has changed in another way: then the bytes may be of two versions.

needs stat sha256sum dd head
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

# The last two are compared. The ctime is not: it also changes when another file replaces this one, which lives
# on without a name.
look() { stat -L -c '%s %Y %a %i %z|%s %y' /proc/self/fd/3; }

# Sends $2 bytes from byte $1 on.
content() {
  {
    if [ "$1" != 0 ]; then dd bs=1 skip="$1" count=0 2>/dev/null; fi # skips without reading
    if [ "$2" -ge 65536 ]; then dd bs=65536 count=$(($2 / 65536)) 2>/dev/null; fi
    if [ $(($2 % 65536)) != 0 ]; then head -c $(($2 % 65536)); fi
  } </proc/self/fd/3
}

# The hash of the file's beginning and end, up to the size that was told: all of it, if it is a small file.
edges() {
  if [ "$size" -le 131072 ]; then
    content 0 "$size"
  else
    content 0 65536
    content $((size - 65536)) 65536
  fi | sha256sum
}

# Whether what was told of the file is still true of its beginning. A file to which something was appended is
# longer, and the same at both edges of what was there.
unchanged() {
  now=$(look)
  now=${now#*|}
  [ "$now" = "$before" ] || { [ "${now%% *}" -gt "$size" ] && [ "$(edges)" = "$known" ]; }
}

seen=$(look)
before=${seen#*|}
size=${before%% *}
known=$(edges)
printf '%s\n' "${seen%|*}"
read -r first length || exit 0
choose_hasher "$length"
if [ "$first $length" = "0 $size" ] && [ "$size" -le 131072 ]; then
  sum=$known
else
  sum=$(content "$first" "$length" | $hasher)
fi
unchanged || fail changed
printf '%s\n' "${sum%% *}"
content "$first" "$length"
unchanged || exit 3
