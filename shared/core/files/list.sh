# shellcheck shell=sh disable=SC2154 # walk.sh stands before this
# Lists a folder: $1... are the steps to it.
#
# Says "entries", then for each "MODE SIZE MTIME NAME/" and a line break (hexadecimal; bytes;
# seconds): no name holds a slash, so that is where it ends, whatever is in it.

needs stat date
go "$@"
if [ ! -r . ]; then fail denied; fi
sweep
printf 'entries\n'

say() { stat -c '%f %s %Y %n/' -- "$@" 2>/dev/null; }

set --
for name in * .[!.]* ..?*; do
  set -- "$@" "$name"
  if [ $# -ge 200 ]; then
    say "$@"
    set --
  fi
done
say "$@"
exit 0 # what went away meanwhile, or was a pattern without a match, is no fault
