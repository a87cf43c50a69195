#!/bin/sh
# Deploys a program to hosts, one after the other. It ends at the first host that does not take it, with the exit
# status of gracex deploy there.
#
#   GRACEX_FLAGS="--pid-file /run/shop.pid" ./deploy.sh ./shop web1 web2
#
# The hosts need gracex. The user of ssh is the one of the app, or an operator of it (docs/releases.md).
set -eu
here=$(dirname "$0")
program=$1
shift
for host; do
	echo "== $host"
	dir=$(ssh -n "$host" mktemp -d)
	scp -q "$program" "$host:$dir/shop"
	ssh "$host" "sh -s -- $dir/shop ${GRACEX_FLAGS-}" <"$here/on-host.sh"
done
