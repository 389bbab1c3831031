# shellcheck shell=sh disable=SC2034,SC2154 # between walk.sh and what uses it
# The beginning of the scripts that write, behind walk.sh.

why_not() {
  case $1 in
  *'No space left'* | *'uota exceeded'*) fail full ;;
  *'invalid option'*) fail 'missing-tool mv -T' ;; # an old busybox has no -T
  *) fail denied ;;
  esac
}

# Goes to a folder, step by step, and makes the missing folders. Sets result to "created" if it has made one.
make_way() {
  if [ $# = 0 ]; then return; fi
  for step; do
    if [ ! -e "./$step" ]; then
      check_inside
      if problem=$(mkdir -- "./$step" 2>&1); then
        result=created
      elif [ ! -e "./$step" ]; then
        if [ -L "./$step" ]; then fail missing; fi
        why_not "$problem"
      fi
    fi
    enter "$step" || why_not_entered "$step"
  done
  check_inside
}
