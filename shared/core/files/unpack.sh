# shellcheck shell=sh disable=SC2154 # walk.sh and make.sh stand before this
# Stores the files of a folder: $1 is the random tag of this attempt, $2... are the steps to the folder, which
# is made.
#
# unpack.py makes the standard input. First come runs, each of them "run NUMBER BLOCK COUNT" and a line break,
# then COUNT blocks of BLOCK bytes: a tar of files, without folders, of the folder with this number. Then come
# "plan SHA256" and a line break, and the plan, which has this hash; input that broke off has no plan. The
# plan has pairs of lines. The first line is "NUMBER SHA256 /PATH/": the number of a folder, the hash of
# the hashes of its files, and its path. The second holds the names of these files with slashes between them.
#
# A tar names the files that it unpacks by path, and other processes of the session may replace folders by
# links. So the files of each folder are unpacked alone, into a folder in which tar stands. Nothing is moved
# before everything has been read back and all obstacles have been looked for.
#
# Prints "unpacked created|replaced SHA256" with the hash of the plan.

needs stat date tar dd sha256sum sed mkdir mv rm rmdir cat
tag=$1
shift
newline='
'

# Goes to the folder that holds the files of folder number $1 until they are moved to their places.
go_to_number() {
  cd -P "/proc/self/fd/3/$1" 2>/dev/null || fail broken
  look_around
  if [ "$here" != "$private/$1" ]; then fail broken; fi
}

receive_run() {
  if [ ! -d "./$1" ] && ! problem=$(mkdir -- "./$1" 2>&1); then why_not "$problem"; fi
  go_to_number "$1"
  if ! problem=$({ dd bs="$2" count="$3" iflag=fullblock 2>/dev/null; } | tar -xmof - --no-same-permissions 2>&1); then
    case $problem in
    *'No space left'* | *'uota exceeded'* | *'Wrote only'*) fail full ;;
    *'nrecognized option'* | *'invalid option'*) fail 'missing-tool tar --no-same-permissions' ;;
    *) fail broken ;;
    esac
  fi
}

# Calls the function $1 with each pair of lines of the plan.
each() {
  record=
  set -f
  IFS=$newline
  for line in $plan; do
    if [ -z "$record" ]; then
      record=$line
      continue
    fi
    number=${record%% *} way=${record#* }
    (
      IFS=/
      "$1" "$number" "${way%% *}" "${way#* }" "$line"
    ) || exit 1
    record=
  done
  IFS=' '
  set +f
}

# $1 number, $2 hash, $3 path, $4 names
check_record() {
  steps=${3#/} names=$4
  if [ "$names" != / ]; then
    go_to_number "$1"
    # shellcheck disable=SC2086 # the names are split at their slashes
    set -- "$2" $names
    told=$1
    shift
    if [ "$*" = - ]; then set -- ./-; fi
    sum=$(sha256sum -- "$@" 2>/dev/null | sed 's/^\\//;s/ .*//' | sha256sum)
    if [ "${sum%% *}" != "$told" ]; then fail broken; fi
  fi
  cd -P /proc/self/fd/4 || fail broken
  for step in $steps; do
    if [ ! -e "./$step" ] && [ ! -L "./$step" ]; then
      if [ ! -w . ]; then fail denied; fi
      return
    fi
    enter "$step" || why_not_entered "$step"
  done
  check_place
  if [ "$names" = / ]; then return; fi
  for name in $names; do
    if [ -d "./$name" ]; then fail "in-the-way $steps$name"; fi
  done
}

# Checks that files can be put here: inside of the workspace, and on the same volume, so that renaming works.
check_place() {
  check_inside
  if [ ! -w . ]; then fail denied; fi
  volumes=$(stat -L -c %d . /proc/self/fd/3)
  if [ "${volumes%%"$newline"*}" != "${volumes##*"$newline"}" ]; then fail outside; fi
}

move_record() {
  number=$1 names=$4
  cd -P /proc/self/fd/4 || fail broken
  # shellcheck disable=SC2086 # the path is split at its slashes
  make_way ${3#/}
  if [ "$names" = / ]; then return; fi
  check_place
  exec 5<.
  go_to_number "$number"
  # shellcheck disable=SC2086 # the names are split at their slashes
  set -- $names
  if ! problem=$(mv -f -- "$@" /proc/self/fd/5/ 2>&1); then why_not "$problem"; fi
}

leave() {
  cd -P /proc/self/fd/3 || return
  here=$private
  set +f
  IFS=' '
  empty_numbers
  cd -P /proc/self/fd/4 && rmdir -- "./$mine"
} 2>/dev/null

result=replaced
make_way "$@"
if [ ! -w . ]; then fail denied; fi
sweep
exec 4<.
mine=.gamgui-upload-$$-$tag
private=$here/$mine
if ! problem=$(mkdir -m 700 -- "./$mine" 2>&1); then why_not "$problem"; fi
enter "$mine" || fail broken
look_around
if [ "$here" != "$private" ]; then fail broken; fi
exec 3<.
trap leave EXIT
trap 'exit 1' TERM HUP INT

plan=
while IFS=' ' read -r word number block count; do
  case $word in
  run) (receive_run "$number" "$block" "$count") || exit 1 ;;
  plan)
    plan=$(cat)
    seal=$number
    break
    ;;
  *) fail broken ;;
  esac
done
sum=$(printf '%s\n' "$plan" | sha256sum)
if [ "${sum%% *}" != "${seal:-}" ]; then fail broken; fi
each check_record
each move_record
printf 'unpacked %s %s\n' "$result" "$seal"
