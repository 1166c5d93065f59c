#!/usr/bin/env bash
# Links the lab's credential files into the checkout, so that `source openrc.sh` works after `make demo`.
# A link is replaced; a real file of one of the names is somebody's own: it stops with nothing changed.
#
#   tools/link-openrc.sh [LAB_DIRECTORY]     default: $GODWIT_LAB_DIR, else .godwit/lab
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
lab=${1:-${GODWIT_LAB_DIR:-.godwit/lab}}
for name in openrc.sh openrc-demo.sh; do
  [[ -f $lab/$name ]] || { echo "link-openrc: $lab/$name is not there; is the lab up?" >&2; exit 1; }
  for link in "$name" "${name%.sh}"; do
    [[ -L $link || ! -e $link ]] || { echo "link-openrc: $PWD/$link is a file, not a link; move it away, or source $lab/$name" >&2; exit 1; }
  done
done
for name in openrc.sh openrc-demo.sh; do
  ln -sfn "$lab/$name" "$name"
  ln -sfn "$lab/$name" "${name%.sh}"
done
