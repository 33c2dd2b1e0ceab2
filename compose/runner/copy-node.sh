#!/bin/sh
# Copies Node and npm of this image into the volume at /opt/tools. A runner may be using what is there: a file is
# replaced by a rename, never written over.
set -eu

put() {
  mkdir -p "$(dirname "$2")"
  rm -rf "$2.new"
  cp -RL "$1" "$2.new"
  mv -f "$2.new" "$2"
}

put /usr/local/bin/node /opt/tools/bin/node
# What Node is linked with on Alpine, beside the C library.
for library in /usr/lib/libstdc++.so.6 /usr/lib/libgcc_s.so.1; do
  put "$library" "/opt/tools/lib/${library##*/}"
done
# A folder cannot be renamed onto another one. Its own name says which version it is.
version="$(node --version)"
[ -d "/opt/tools/npm/$version" ] || put /usr/local/lib/node_modules/npm "/opt/tools/npm/$version"
for program in npm npx; do
  ln -sfn "../npm/$version/bin/$program-cli.js" "/opt/tools/bin/$program"
done
for folder in /opt/tools/npm/*; do
  [ "$folder" = "/opt/tools/npm/$version" ] || rm -rf "$folder"
done
