#!/usr/bin/env bash
# Makes the container image from a built program, with buildah and without a daemon: the last stage of the Dockerfile on a base.
#
#   image.sh BINARY TAG [BASE]
#
# BASE is one of
#   (nothing)      the base that the Dockerfile names by its digest, from its registry
#   REFERENCE      another image of a registry
#   FOLDER         a root file system, such as debootstrap makes
#   packages       what the program needs of this Debian's own packages: no shell, no package manager, no registry asked
#
# Where no overlays can be mounted: STORAGE_DRIVER=vfs.
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=$(realpath "${1:?image.sh BINARY TAG [BASE]}") tag=${2:?image.sh BINARY TAG [BASE]} base=${3:-}
command -v buildah >/dev/null || { echo "buildah is missing: apt-get install buildah" >&2; exit 1; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT

# As distroless images are made: the files of a few packages, unpacked, and one list of certificates.
from_packages() {
  mkdir -p "$work/debs" "$1"
  (cd "$work/debs" && apt-get download -qq base-files ca-certificates libc6 libgcc-s1 netbase tzdata 2>/dev/null) ||
    { echo "apt-get download found no packages: apt-get update, or name another base" >&2; exit 1; }
  local package
  for package in "$work"/debs/*.deb; do dpkg-deb --extract "$package" "$1"; done
  mkdir -p "$1/etc/ssl/certs" "$1/tmp"
  cat "$1"/usr/share/ca-certificates/mozilla/*.crt >"$1/etc/ssl/certs/ca-certificates.crt"
  chmod 1777 "$1/tmp"
  printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$1/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' >"$1/etc/group"
  rm -rf "$1"/usr/share/{doc,man,locale,lintian,bug}
}

if [ "$base" = packages ]; then
  base=$work/root
  from_packages "$base"
fi
arguments=(--build-arg "REVISION=${SYNCLINE_REVISION:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}")
arguments+=(--build-arg "VERSION=$("$binary" --version | awk '{ print $2 }')")
if [ -d "$base" ]; then
  container=$(buildah from scratch)
  buildah copy --quiet "$container" "$base" / >/dev/null
  base=localhost/syncline-base:$$
  buildah commit --quiet --rm "$container" "$base" >/dev/null
  trap 'buildah rmi "$base" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
fi
if [ -n "$base" ]; then arguments+=(--build-arg "BASE=$base"); fi

# The program comes from outside instead of from the stage before.
mkdir "$work/context"
install -m 0755 "$binary" "$work/context/syncline"
if command -v strip >/dev/null; then strip "$work/context/syncline"; fi
cp LICENSE "$work/context/"
awk '/^ARG BASE=/ { print } /^FROM \$\{BASE\}/ { last = 1 } last { print }' deploy/docker/Dockerfile |
  sed 's|^COPY --from=build /build/target/release/syncline |COPY syncline |' >"$work/context/Dockerfile"
# Docker's format has a place for the health check.
buildah build --quiet --format docker --isolation chroot --tag "$tag" "${arguments[@]}" "$work/context" >&2
echo "$tag"
