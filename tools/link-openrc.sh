#!/usr/bin/env bash
# Links the lab's credential files into the checkout, so that `source openrc.sh` works after `make demo`.
#
#   tools/link-openrc.sh [LAB_DIRECTORY]     default: $GODWIT_LAB_DIR, else .godwit/lab
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
lab=${1:-${GODWIT_LAB_DIR:-.godwit/lab}}
for name in openrc.sh openrc-demo.sh; do
  [[ -f $lab/$name ]] || { echo "link-openrc: $lab/$name is not there; is the lab up?" >&2; exit 1; }
  ln -sfn "$lab/$name" "$name"
  ln -sfn "$lab/$name" "${name%.sh}"
done
