#!/bin/sh
# Copies Compose of this image into the volume at /opt/compose. The program stands alone, so it runs anywhere. A runner
# may be using what is there: it is replaced by a rename, never written over.
set -eu
cp -L /usr/local/libexec/docker/cli-plugins/docker-compose /opt/compose/docker-compose.new
mv -f /opt/compose/docker-compose.new /opt/compose/docker-compose
/opt/compose/docker-compose version
