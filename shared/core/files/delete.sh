# shellcheck shell=sh disable=SC2154 # walk.sh stands before this
# Removes a file, a link or an empty folder: $1 is its name, $2... its folder. Says "deleted".
# Folders with something in them are left: to go through them by path, as some `rm -r` do, can
# be led astray.

needs rm rmdir stat date
name=$1
shift
go "$@"
if [ -L "./$name" ] || { [ -e "./$name" ] && [ ! -d "./$name" ]; }; then
  rm -f -- "./$name" 2>/dev/null || fail denied
elif [ -d "./$name" ]; then
  (enter "$name" && check_inside && sweep) >/dev/null
  if ! problem=$(rmdir -- "./$name" 2>&1); then
    case $problem in
    *'not empty'*) fail not-empty ;;
    *) fail denied ;;
    esac
  fi
else
  fail missing
fi
printf 'deleted\n'
