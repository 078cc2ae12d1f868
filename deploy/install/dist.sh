#!/usr/bin/env bash
# Makes what a release offers from a built program: an archive, a Debian package where dpkg-deb is, and their checksums.
#
#   dist.sh BINARY FOLDER
#
# The same program and source give the same bytes: times are those of the last commit, owners are root.
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=$(realpath "${1:?dist.sh BINARY FOLDER}") folder=${2:?dist.sh BINARY FOLDER}
version=$("$binary" --version | awk '{ print $2 }')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}
export SOURCE_DATE_EPOCH
# How hard to compress, from 1 to 9: tests are in a hurry.
level=${LEVEL:-9}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
umask 022
mkdir -p "$folder" && folder=$(realpath "$folder")
rm -f "$folder"/syncline-*.tar.gz "$folder"/syncline_*.deb "$folder/SHA256SUMS"

name=syncline-$version-$(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m)
DESTDIR=$work/$name PREFIX=/usr/local deploy/install/install.sh "$binary" 2>/dev/null
# Unpacked over /: `tar --strip-components 1 -C / -xzf …`.
cp README.md "$work/$name/usr/local/share/doc/syncline/"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$work" -c "$name" |
  gzip -"$level"n >"$folder/$name.tar.gz"

if command -v dpkg-deb >/dev/null; then
  package=$work/package
  DESTDIR=$package PREFIX=/usr deploy/install/install.sh "$binary" 2>/dev/null
  gzip -9n "$package"/usr/share/man/man1/*.1
  mv "$package/usr/share/zsh/site-functions" "$package/usr/share/zsh/vendor-completions"
  mv "$package/usr/share/doc/syncline/LICENSE" "$package/usr/share/doc/syncline/copyright"
  gzip -9n "$package/usr/share/doc/syncline/CHANGELOG.md"
  mv "$package/usr/share/doc/syncline/CHANGELOG.md.gz" "$package/usr/share/doc/syncline/changelog.gz"
  install -d -m 0755 "$package/etc/syncline" "$package/DEBIAN"
  install -m 0644 deploy/install/syncline.toml "$package/etc/syncline/syncline.toml"
  install -m 0640 deploy/install/environment "$package/etc/syncline/environment"
  install -m 0755 deploy/install/debian/postinst deploy/install/debian/prerm deploy/install/debian/postrm "$package/DEBIAN/"
  printf '/etc/syncline/%s\n' environment syncline.toml >"$package/DEBIAN/conffiles"
  # The oldest C library that has all that this program asks for.
  libc=$(objdump -T "$binary" | grep -oE 'GLIBC_[0-9]+(\.[0-9]+)+' | sed 's/GLIBC_//' | sort -Vu | tail -1)
  sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$(dpkg --print-architecture)/" -e "s/@LIBC@/$libc/" \
    -e "s/@SIZE@/$(du -sk "$package" | cut -f1)/" deploy/install/debian/control >"$package/DEBIAN/control"
  find "$package" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group -Zxz -z"$level" --build "$package" "$folder/syncline_${version}_$(dpkg --print-architecture).deb" >/dev/null
else
  echo "SKIPPED: the Debian package: dpkg-deb is not installed" >&2
fi
(cd "$folder" && sha256sum -- syncline*.tar.gz $(ls syncline_*.deb 2>/dev/null || true) >SHA256SUMS)
ls "$folder"
