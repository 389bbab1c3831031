# shellcheck shell=sh disable=SC2154 # walk.sh stands before this
# Packs a folder as a tar. $1... are the steps to the folder. Prints "archive", then the tar.
#
# A tar goes on past what it cannot read and what changes under it. When it has said something, or did not end
# with 0, its words follow the tar, 64 KiB at most, with "tar ended with <exit code>" as the last line; the
# script then ends with 4.
#
# Leaves unfinished uploads out where the image's tar can do that; the tar of some busybox versions cannot.

needs tar rm stat date head cat
go "$@"
if [ ! -r . ]; then fail denied; fi
sweep
set --
if tar -cf /dev/null --exclude=x /dev/null 2>/dev/null; then
  set -- --exclude='.gamgui-upload-*'
fi
printf 'archive\n'
exec 3>&1
words=$(
  {
    tar -cf - "$@" . >&3 3>&-
    echo "tar ended with $?"
  } 2>&1 | {
    head -c 65536
    cat >/dev/null
  }
)
if [ "$words" != 'tar ended with 0' ]; then
  printf '%s\n' "$words"
  exit 4
fi
