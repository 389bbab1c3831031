# shellcheck shell=sh disable=SC2154 # walk.sh stands before this
# Removes a file, a link or an empty folder: $1 is its name, $2... are the steps to its folder. Prints
# "deleted". Never removes a folder with something in it: some `rm -r` go through a folder by path, and
# another process can lead them astray by a link.

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
