#!/bin/sh
# Certificates of the host. nginx reads live/gitea, which is a link of our own:
#
#   live/gitea -> ../throw-away   until the first certificate arrived: self-signed, good for nothing but a start
#   live/gitea -> host            afterwards: what certbot keeps under the name `host`
#
# certbot refuses a folder below live/ that it did not make itself, and there must not be a moment without any: so
# both lie beside each other, and the link is renamed from one to the other.
#
#   throw-away   makes that one, when there is no certificate
#   renew        gets the first one, or a newer one when it is time; else does nothing
#
# DOMAIN, EMAIL (may be empty), ACME_SERVER come from compose.yaml.
set -eu
cd "${CERTIFICATES:-/etc/letsencrypt}"

point_to() {
  [ "$(readlink live/gitea || true)" = "$1" ] && return
  ln -sfn "$1" live/gitea.new
  mv -T live/gitea.new live/gitea
}

throw_away() {
  mkdir -p live
  if [ -e live/gitea/fullchain.pem ] && [ -e live/gitea/privkey.pem ]; then
    echo "There is a certificate already: $(readlink live/gitea)."
    return
  fi
  if [ -e live/host/fullchain.pem ]; then
    point_to host
    return
  fi
  rm -rf throw-away throw-away.new
  mkdir -m 700 throw-away.new
  # The subject is short on purpose: it has room for 64 letters, and only the alternative name counts.
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj /CN=throw-away -addext "subjectAltName=DNS:$DOMAIN" \
    -keyout throw-away.new/privkey.pem -out throw-away.new/fullchain.pem
  mv throw-away.new throw-away
  point_to ../throw-away
  echo "Made a throw-away certificate for $DOMAIN. Next: the job renew-certificates gets a real one."
}

renew() {
  # certbot keeps what it got, until it is time or something else is asked for. It takes a new name for that by itself,
  # but not another server. A person who wants a new one, good as the old one is, leaves a file.
  force=
  if [ -e renewal/host.conf ] && ! grep -qxF "server = $ACME_SERVER" renewal/host.conf || [ -e renew-now ]; then
    force=--force-renewal
  fi
  if [ -n "$EMAIL" ]; then
    set -- --email "$EMAIL"
  else
    set -- --register-unsafely-without-email
  fi
  certbot certonly --non-interactive --agree-tos "$@" --server "$ACME_SERVER" --cert-name host --domain "$DOMAIN" \
    --webroot --webroot-path /var/www/acme --keep-until-expiring --renew-with-new-domains $force
  mkdir -p live
  point_to host
  rm -rf throw-away renew-now
}

case "${1:-}" in
  throw-away) throw_away ;;
  renew) renew ;;
  *)
    echo "There is no command \"${1:-}\" here. Next: throw-away or renew." >&2
    exit 2
    ;;
esac
