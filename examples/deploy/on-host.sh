#!/bin/sh
# Deploys a program that deploy.sh has copied to this host, and removes the copy. The flags are those of gracex deploy,
# and so is the exit status.
#
#   ./on-host.sh /tmp/tmp.x1y2z3/shop --pid-file /run/shop.pid
set -u
program=$1
shift
trap 'rm -f "$program"; rmdir "$(dirname "$program")"' EXIT
gracex deploy "$program" "$@" </dev/null
