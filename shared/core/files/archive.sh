# shellcheck shell=sh disable=SC2154 # walk.sh stands before this
# Packs a folder as a tar. $1... are the steps to the folder. Prints "archive", then the tar.
#
# Leaves unfinished uploads out where the image's tar can do that; the tar of some busybox versions cannot.

needs tar rm stat date
go "$@"
if [ ! -r . ]; then fail denied; fi
sweep
set --
if tar -cf /dev/null --exclude=x /dev/null 2>/dev/null; then set -- --exclude='.gamgui-upload-*'; fi
printf 'archive\n'
exec tar -cf - "$@" .
