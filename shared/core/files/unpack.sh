# shellcheck shell=sh disable=SC2154 # walk.sh and make.sh stand before this
# Stores the files of a folder: $1 is the tag of this attempt, random; $2... are the steps to
# the folder, which is made.
#
# Standard input is made by unpack.py. First runs, each "run NUMBER BLOCK COUNT" and a line
# break, then COUNT blocks of BLOCK bytes: a tar of files, without folders, of the folder that
# has this number. Then "plan SHA256" and a line break, and the plan, which has this hash; input
# that broke off has none. It is lines in pairs: "NUMBER SHA256 /PATH/", then names with slashes
# between: files of this run's folder, the hash of their hashes, and which folder they are of.
#
# A tar names what it unpacks by path, and other processes of the session may exchange folders
# for links. So each folder's files come alone into a folder in which tar stands. Nothing is moved
# before all has been read back, and what is in the way has been found.
#
# Says "unpacked created|replaced SHA256", the hash being that of the plan.

needs stat date tar dd sha256sum sed mkdir mv rm rmdir cat
tag=$1
shift
newline='
'

# Goes to the folder that holds the files of a number until they are in their places.
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

# Does something, as $1 says, with each pair of lines of the plan.
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

# $1 number, $2 hash, $3 way, $4 names
check_record() {
  steps=${3#/} names=$4
  if [ "$names" != / ]; then
    go_to_number "$1"
    # shellcheck disable=SC2086 # cut at its slashes
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

# Here files can be put: inside of the workspace, and by renaming.
check_place() {
  check_inside
  if [ ! -w . ]; then fail denied; fi
  volumes=$(stat -L -c %d . /proc/self/fd/3)
  if [ "${volumes%%"$newline"*}" != "${volumes##*"$newline"}" ]; then fail outside; fi
}

move_record() {
  number=$1 names=$4
  cd -P /proc/self/fd/4 || fail broken
  # shellcheck disable=SC2086 # cut at its slashes
  make_way ${3#/}
  if [ "$names" = / ]; then return; fi
  check_place
  exec 5<.
  go_to_number "$number"
  # shellcheck disable=SC2086 # cut at its slashes
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
