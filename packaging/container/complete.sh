#!/bin/sh
# Completes the root of the container image: adds to the directory IMAGE all that usr/bin/glance-replicator
# needs at run time. Writes the empty state directory to /state.
#
#   complete.sh IMAGE
set -eu

image=$1

# The libraries, and the loader.
ldd "$image/usr/bin/glance-replicator" | sed -nE 's,^[^/]*(/[^ ]+) \(0x.*,\1,p' |
    while read -r library; do
        cp --dereference --parents "$library" "$image"
    done

# The licences of the downloaded crates; vendored crates come with a file of all licences, which is in place.
licences=$image/usr/share/licenses/glance-replicator
if [ ! -e vendor ]; then
    cd "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*
    find . -type f ! -name '*.rs' \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'copyright*' \
        -o -iname 'notice*' -o -iname 'unlicense*' \) -exec cp --parents --target-directory "$licences" {} +
fi

# The trusted certificates, where rustls and OpenSSL look for them.
mkdir -p "$image/etc/ssl/certs" "$image/usr/lib/ssl"
cp /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs"
cp /etc/ssl/openssl.cnf "$image/etc/ssl"
ln -s /etc/ssl/certs/ca-certificates.crt "$image/usr/lib/ssl/cert.pem"
ln -s /etc/ssl/openssl.cnf "$image/usr/lib/ssl/openssl.cnf"

# Times of day in --bwlimit and in job files.
mkdir -p "$image/usr/share"
cp --archive /usr/share/zoneinfo "$image/usr/share"

# Names of hosts and of the user.
echo 'hosts: files dns' > "$image/etc/nsswitch.conf"
echo 'root:x:0:0:root:/:/sbin/nologin' > "$image/etc/passwd"
echo 'nonroot:x:65532:65532:nonroot:/var/lib/glance-replicator:/sbin/nologin' >> "$image/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' > "$image/etc/group"

mkdir -p "$image/etc/openstack" "$image/var/lib"
install -d -m 1777 "$image/tmp"
install -d -m 0750 /state/glance-replicator
