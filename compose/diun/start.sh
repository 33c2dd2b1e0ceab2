#!/bin/sh
# Diun takes its token from its configuration or its environment, not from a file. Here it comes from the file into the
# environment of this process alone, where `docker inspect` does not show it.
set -eu
token="$(cat "${TOKEN_FILE:-/run/secrets/diun-token}")"
export DIUN_NOTIF_WEBHOOK_HEADERS_AUTHORIZATION="Bearer $token"
exec diun serve
