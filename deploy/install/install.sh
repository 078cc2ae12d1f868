#!/usr/bin/env bash
# Installs a built program with its manual, completions and units, or removes them: what `make install`, `make uninstall` and
# the packages do.
#
#   install.sh BINARY       installs it below $DESTDIR$PREFIX (/usr/local)
#   install.sh --remove     removes what the first form installed
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}$prefix
case $prefix in /*) ;; *) echo "PREFIX must be an absolute path, not $prefix" >&2; exit 2 ;; esac

if [ "${1:-}" = --remove ]; then
  rm -f "$root/bin/syncline" "$root/bin/synclinectl" "$root/share/bash-completion/completions/syncline" \
    "$root/share/zsh/site-functions/_syncline" "$root/share/fish/vendor_completions.d/syncline.fish" \
    "$root"/share/man/man1/syncline.1* "$root"/share/man/man1/syncline-*.1* \
    "$root/lib/systemd/system/syncline.service" "$root/lib/systemd/system/syncline-migrate.service"
  rm -rf "$root/share/doc/syncline"
  echo "removed from $root; settings in /etc/syncline, a private server's data and databases stay" >&2
  exit
fi

binary=${1:?which program? install.sh BINARY}
[ -x "$binary" ] || { echo "$binary is no program: make build" >&2; exit 1; }

install -d "$root/bin" "$root/share/bash-completion/completions" "$root/share/zsh/site-functions" \
  "$root/share/fish/vendor_completions.d" "$root/share/man/man1" "$root/share/doc/syncline"
install -m 0755 "$binary" "$root/bin/syncline"
# Symbols are for debuggers: four fifths of the file. A machine without binutils keeps them.
if command -v strip >/dev/null; then strip "$root/bin/syncline"; else echo "strip is missing: symbols stay" >&2; fi

"$binary" completions bash >"$root/share/bash-completion/completions/syncline"
"$binary" completions zsh >"$root/share/zsh/site-functions/_syncline"
"$binary" completions fish >"$root/share/fish/vendor_completions.d/syncline.fish"
"$binary" man-pages "$root/share/man/man1"
chmod 0644 "$root/share/bash-completion/completions/syncline" "$root/share/zsh/site-functions/_syncline" \
  "$root/share/fish/vendor_completions.d/syncline.fish" "$root"/share/man/man1/syncline*.1
install -m 0644 "$here/LICENSE" "$here/CHANGELOG.md" "$root/share/doc/syncline/"

if [ "$(uname)" = Linux ]; then
  install -d "$root/lib/systemd/system"
  install -m 0755 "$here/deploy/systemd/synclinectl" "$root/bin/synclinectl"
  for unit in syncline syncline-migrate; do
    sed "s|/usr/local/bin/|$prefix/bin/|" "$here/deploy/systemd/$unit.service" >"$root/lib/systemd/system/$unit.service"
    chmod 0644 "$root/lib/systemd/system/$unit.service"
  done
fi
echo "installed below $root: $("$binary" --version)" >&2
