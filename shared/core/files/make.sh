# shellcheck shell=sh disable=SC2034,SC2154 # between walk.sh and what uses it
# What scripts begin with that write, after walk.sh.

why_not() {
  case $1 in
  *'No space left'* | *'uota exceeded'*) fail full ;;
  *'invalid option'*) fail 'missing-tool mv -T' ;; # as of an old busybox
  *) fail denied ;;
  esac
}

# Goes to a folder, step by step, and makes what is missing; result is "created" then.
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
