#!/usr/bin/env bash
# Copies one image from one Glance to another with two curls and a pipe, as operators do:
# curl.sh length|chunked|hashed SOURCE TARGET ID SIZE [RANGE], with CA and TOKEN in the environment.
# `hashed` says the SHA-512 of what it copied, too.
set -euo pipefail
how=$1 source=$2 target=$3 id=$4 size=$5 range=${6:-}
call=(curl -sSf --cacert "$CA" -H "X-Auth-Token: $TOKEN")

record='{"name": "copied", "disk_format": "raw", "container_format": "bare"}'
made=$("${call[@]}" -H 'Content-Type: application/json' -d "$record" "$target/v2/images")
copy=$(sed 's/.*"id": *"\([^"]*\)".*/\1/' <<<"$made")
get=("${call[@]}" ${range:+-r "$range"} "$source/v2/images/$id/file")
put=("${call[@]}" -X PUT -T - -H 'Content-Type: application/octet-stream' "$target/v2/images/$copy/file")
announced=(-H "Content-Length: $size" -H 'Transfer-Encoding:')
case $how in
    length) "${get[@]}" | "${put[@]}" "${announced[@]}" ;;
    chunked) "${get[@]}" | "${put[@]}" ;;
    hashed)
        exec 3> >(sha512sum >&2)
        hash=$!
        "${get[@]}" | tee /dev/fd/3 | "${put[@]}" "${announced[@]}"
        exec 3>&-
        wait "$hash"
        ;;
esac
