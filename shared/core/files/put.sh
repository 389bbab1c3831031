# shellcheck shell=sh disable=SC2154 # walk.sh and make.sh stand before this
# Stores a file, whole or in pieces.
#   $1     random tag of this attempt
#   $2     name of a resumable upload; empty: the input is the whole file
#   $3 $4  offset of this piece in the file, and size of the whole file; empty if $2 is empty
#   $5     SHA-256 that the whole file must have; empty: the caller has not said
#   $6     length of the piece, if the piece is short, or if it is long and the caller has said
#   $7     SHA-256 of the piece, if it is short
#   $8     name of the file; $9... are the steps to its folder, which is made
# Standard input is the piece. Behind a piece that is not short come 64 characters: the SHA-256 of the piece.
# Input that broke off has no such end, and changes nothing.
#
# Prints "stored SIZE SHA256 created|replaced", or "have SIZE" when more pieces are to come, or when this
# piece does not begin where the stored part ends. With `*` as $3, it only prints "have SIZE".
#
# Process PID writes .gamgui-upload-PID-TAG; .gamgui-upload-at-SIZE-NAME is the beginning of a resumable
# upload. A process renames the beginning to take it: if two processes want to add to the same beginning, only
# one of them gets it.

set -C # a file that we open for writing must be a new one
needs stat date sha256sum mkdir mv rm cat dd head tail chmod
tag=$1 upload=$2 first=$3 total=$4 whole=$5 length=$6 told=$7 name=$8
shift 8
mine=./.gamgui-upload-$$-$tag
sum=""
size=""

# Checks that the bytes written are those that were sent, and removes the hash at their end.
check() {
  if [ -n "$told" ]; then
    size=$length
    hash
    if [ "$sum" != "$told" ]; then fail broken; fi
    return
  fi
  size=$(($(stat -L -c %s /proc/self/fd/3) - 64))
  if [ "$size" -lt 0 ] || [ "$size" != "${length:-$size}" ]; then fail broken; fi
  { told=$(tail -c 64 </proc/self/fd/3); } 2>/dev/null # some shells print a warning about binary data
  dd if=/dev/null of=/proc/self/fd/3 bs=1 seek="$size" 2>/dev/null
  if [ -z "$sum" ]; then hash; fi
  if [ "$sum" != "$told" ]; then fail broken; fi
}

hash() {
  choose_hasher "$size"
  sum=$($hasher </proc/self/fd/3)
  sum=${sum%% *}
}

# Writes the input. If hashing a long input takes long, the file is read back and hashed while the rest of the
# input still comes: for each written block there is a line, which lets the reader go on by one block.
receive() {
  choose_hasher "${length:-0}"
  if [ -z "$length" ] || [ -n "$told" ] || [ "$hasher" != sha256sum ]; then
    if ! problem=$(cat 2>&1 >&3); then why_not "$problem"; fi
    return
  fi
  exec 4</proc/self/fd/3
  sum=$({ write_blocks | follow_blocks | sha256sum; } 5>&1)
  case $sum in *[!0-9a-f\ -]*) why_not "$sum" ;; esac
  sum=${sum%% *}
}

write_blocks() {
  while :; do
    if ! problem=$(dd bs=64k count=256 iflag=fullblock 2>&1 >&3); then
      printf '%s\n' "$problem" >&5
      return
    fi
    case $problem in 0+0\ *) return ;; esac # dd counted no blocks: the input has ended
    echo
  done
}

follow_blocks() {
  left=$length
  while [ "$left" -ge 16777216 ] && read -r _; do
    dd bs=64k count=256 <&4 2>/dev/null
    left=$((left - 16777216))
  done
  cat >/dev/null # when no more lines come, all is written
  head -c "$left" <&4
}

# Finds the beginning of this upload and its length; takes the longest if there are two.
find_beginning() {
  have=0 beginning=
  for found in "./.gamgui-upload-at-"*"-$upload"; do
    if [ ! -f "$found" ]; then continue; fi
    bytes=${found#./.gamgui-upload-at-}
    bytes=${bytes%%-*}
    if [ "$bytes" -gt "$have" ]; then have=$bytes beginning=$found; fi
  done 2>/dev/null
}

say_how_far() {
  printf 'have %s\n' "$have"
  exit 0
}

# Appends the piece to the beginning, which no other process can take meanwhile. If that fails, restores the
# beginning.
append() {
  piece=$mine mine=$mine-all
  if ! mv -T -- "$beginning" "$mine" 2>/dev/null; then
    find_beginning
    say_how_far
  fi
  { command exec 4<"$mine"; } 2>/dev/null || fail broken
  # Another process may have put another file or a link there: it must be the known file.
  if [ "$(readlink /proc/self/fd/4)" != "$here/${mine#./}" ]; then fail broken; fi
  if [ "$(stat -L -c '%s %F' /proc/self/fd/4)" != "$first regular file" ]; then fail broken; fi
  if ! problem=$(cat </proc/self/fd/3 2>&1 >>/proc/self/fd/4); then
    dd if=/dev/null of=/proc/self/fd/4 bs=1 seek="$first" 2>/dev/null
    mv -T -- "$mine" "$beginning"
    why_not "$problem"
  fi
  exec 3<&4
  size=$((first + size))
}

leave() {
  for rest in "$mine" ${piece:+"$piece"}; do
    if [ -e "$rest" ]; then rm -f -- "$rest"; fi
  done
}

make_way "$@"
if [ -d "./$name" ]; then fail folder; fi
sweep
if [ -n "$upload" ]; then
  find_beginning
  if [ "$first" != "$have" ]; then say_how_far; fi
fi

piece=
trap leave EXIT
trap 'exit 1' TERM HUP INT
if ! { command exec 3>"$mine"; } 2>/dev/null; then
  why_not "$({ command exec 3>"$mine"; } 2>&1)"
fi
# noclobber lets the shell open something that is no regular file.
if [ ! -f /proc/self/fd/3 ]; then fail broken; fi
receive
check
if [ "${first:-0}" != 0 ]; then append; fi
if [ -n "$upload" ] && [ "$size" != "$total" ]; then
  mv -T -- "$mine" "./.gamgui-upload-at-$size-$upload" || fail denied
  have=$size
  say_how_far
fi
if [ "${first:-0}" != 0 ]; then hash; fi
if [ -n "$whole" ] && [ "$sum" != "$whole" ]; then fail wrong-digest; fi

result=created
if [ -e "./$name" ] || [ -L "./$name" ]; then result=replaced; fi
if [ -f "./$name" ] && [ ! -L "./$name" ]; then
  chmod "$(stat -c %a -- "./$name")" /proc/self/fd/3 2>/dev/null
fi
# -T: if a folder, or a link to one, has appeared under this name, the file must not be moved into it.
if ! problem=$(mv -fT -- "$mine" "./$name" 2>&1); then
  if [ -d "./$name" ]; then fail folder; fi
  why_not "$problem"
fi
if [ -n "$upload" ]; then rm -f -- "./.gamgui-upload-at-"*"-$upload"; fi
printf 'stored %s %s %s\n' "$size" "$sum" "$result"
