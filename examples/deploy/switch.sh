#!/bin/sh
# Upgrades an app to a directory in releases/, then has current name it, for releases that are more than one file:
# with templates, or made by Capistrano or Deployer. The flags are those of gracex upgrade.
#
#   ./switch.sh /srv/shop 20261130120000 --pid-file /run/shop.pid
#
# It keeps the five newest releases, and the one that is current.
set -eu
cd "$1"
release=$2
shift 2
gracex upgrade --release "$release" "$@"
ln -s "releases/$release" current.new
mv -T current.new current
for old in $(ls -1t releases | tail -n +6); do
	[ "$old" = "$release" ] || rm -rf "releases/$old"
done
