# shellcheck shell=sh disable=SC2154 # walk.sh stands before this
# Lists a folder. $1... are the steps to the folder.
#
# Prints "entries", then for each entry "MODE SIZE MTIME NAME/" and a line break (hexadecimal; bytes;
# seconds). No name holds a slash, so the slash ends the name, whatever characters the name has.

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
exit 0 # an entry that is gone meanwhile, or a pattern without a match, is no error
