#!/usr/bin/env bash
# Checks deploy/ without a container engine and without a cluster, or writes what is generated from it.
#
#   run.sh          checks everything
#   run.sh write    writes deploy/helm/syncline/files (from dashboards/) and deploy/kubernetes (from the chart)
#
# What a machine lacks is SKIPPED by name, never passed over in silence.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=target/deploy-venv requirements=tests/deploy/requirements.txt
skip() { echo "SKIPPED: the checks of deploy/: $*" >&2; exit 0; }

if ! cmp -s "$requirements" "$venv/installed"; then
  command -v python3 >/dev/null || skip "python3 is not installed"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || skip "python3 is older than 3.10"
  mkdir -p target && rm -rf "$venv"
  python3 -m venv "$venv" >/dev/null || skip "python3 cannot make a virtual environment (apt-get install python3-venv)"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" >&2 ||
    skip "the packages of $requirements cannot be installed"
  cp "$requirements" "$venv/installed"
fi

export PYTHONDONTWRITEBYTECODE=1
case ${1:-check} in
  check) exec "$venv/bin/python" tests/deploy/check.py ;;
  write) exec "$venv/bin/python" tests/deploy/generated.py ;;
  *) echo "run.sh: check or write, not $1" >&2; exit 2 ;;
esac
