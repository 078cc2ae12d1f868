#!/usr/bin/env bash
# A throw-away PostgreSQL server for tests and for checking queries at compile time.
#
#   postgres.sh start FOLDER   starts it if it does not run, prints its URL
#   postgres.sh schema FOLDER  starts it, prints the URL of a fresh database with all of migrations/ applied
#   postgres.sh stop FOLDER    stops it
#
# It does not sync to disk, which only a server without valuable data may do. It stops by itself once no client has been
# connected for a minute. Passwords are checked by MD5: SCRAM costs each of the thousands of connections some 50 ms of
# unoptimised code. A script and not the program itself, because building the program needs a server first.
set -euo pipefail
export PGOPTIONS="-c client_min_messages=warning"

command=${1:?start, schema or stop} folder=${2:?folder}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

fail() { echo "postgres.sh: $*" >&2; exit 1; }

find_programs() {
  local candidate
  for candidate in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -rV) \
    "$(pg_config --bindir 2>/dev/null || true)" /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
    /opt/homebrew/bin /Applications/Postgres.app/Contents/Versions/latest/bin "$(dirname "$(command -v postgres || echo /)")"; do
    if [ -x "$candidate/initdb" ] && [ -x "$candidate/pg_ctl" ] && [ -x "$candidate/psql" ]; then
      echo "$candidate"
      return
    fi
  done
  fail "PostgreSQL is not installed: make deps"
}
bin=$(find_programs)

# The server refuses to run as root.
if [ "$(id -u)" = 0 ]; then
  user=postgres
  id "$user" >/dev/null 2>&1 || user=nobody
  as_user() { su -s /bin/sh "$user" -c 'cd / && exec "$@"' -- sh "$@"; }
else
  user=$(id -un)
  as_user() { "$@"; }
fi

# The folder may lie below a home that this user cannot enter.
home=$folder/home
if [ -L "$home" ]; then
  home=$(readlink "$home")
elif [ ! -d "$home" ]; then
  mkdir "$home"
  chown "$user" "$home"
  if ! as_user test -w "$home"; then
    rmdir "$home"
    home=$(mktemp -d "${TMPDIR:-/tmp}/syncline-test-pg.XXXXXX")
    chown "$user" "$home"
    ln -s "$home" "$folder/home"
  fi
fi
data=$home/data

is_running() { [ -d "$data" ] && as_user "$bin/pg_ctl" status -D "$data" >/dev/null 2>&1; }

stop() { if is_running; then as_user "$bin/pg_ctl" stop -D "$data" -m immediate -w >/dev/null; fi; }

initialise() {
  rm -rf "$data"
  (umask 077; od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$folder/password")
  local password_file=$home/password
  cp "$folder/password" "$password_file" && chown "$user" "$password_file"
  as_user "$bin/initdb" -D "$data" -U postgres --pwfile="$password_file" -A md5 -E UTF8 --no-locale --no-sync \
    >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; fail "initdb failed"; }
  rm -f "$password_file"
}

start() {
  is_running && [ -s "$folder/url" ] && return
  stop
  # Another major version cannot read the folder, and there is nothing in it worth keeping.
  [ "$(cat "$data/PG_VERSION" 2>/dev/null)" = "$("$bin/postgres" --version | sed -E 's/.*\) ([0-9]+).*/\1/')" ] || initialise
  local attempt port options
  for attempt in 1 2 3 4 5 6 7 8; do
    port=$((20000 + RANDOM % 12000))
    options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= -c max_connections=300"
    options+=" -c fsync=off -c full_page_writes=off -c max_wal_size=2GB -c shared_buffers=128MB -c jit=off"
    if as_user "$bin/pg_ctl" start -D "$data" -w -t 60 -l "$home/log" -o "$options" >/dev/null 2>&1; then
      (umask 077 && echo "postgres://postgres:$(cat "$folder/password")@127.0.0.1:$port/postgres" >"$folder/url")
      return
    fi
  done
  tail -n 20 "$home/log" >&2 || true
  fail "the server does not start; its log is $home/log"
}

watch_idleness() {
  if [ -s "$folder/watcher" ] && kill -0 "$(cat "$folder/watcher")" 2>/dev/null; then return; fi
  (
    trap '' HUP INT
    idle=0
    while [ "$idle" -lt 6 ] && is_running; do
      sleep 10
      query="SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
      clients=$("$bin/psql" -XAt "$(cat "$folder/url")" -c "$query" || echo 0)
      if [ "$clients" = 0 ]; then idle=$((idle + 1)); else idle=0; fi
    done
    rm -f "$folder/watcher"
    stop
  ) </dev/null >/dev/null 2>&1 &
  echo $! >"$folder/watcher"
}

# Without the program: it cannot be built before its queries have been checked against this schema.
fresh_schema() {
  local server url migration transaction
  server=$(cat "$folder/url")
  url=${server%/postgres}/syncline_queries
  "$bin/psql" -XqAt -v ON_ERROR_STOP=1 "$server" -c 'DROP DATABASE IF EXISTS syncline_queries WITH (FORCE)' \
    -c 'CREATE DATABASE syncline_queries TEMPLATE template0' 2>/dev/null
  "$bin/psql" -XqAt -v ON_ERROR_STOP=1 "$url" -c 'CREATE SCHEMA syncline'
  for migration in "$(dirname "$0")"/../../migrations/*.sql; do
    [ -e "$migration" ] || continue
    transaction=--single-transaction
    if head -n 1 "$migration" | grep -q '^-- no-transaction'; then transaction=; fi
    "$bin/psql" -XqAt -v ON_ERROR_STOP=1 $transaction "$url" -f "$migration" >/dev/null
  done
  echo "$url"
}

case $command in
  start) start; watch_idleness; cat "$folder/url" ;;
  schema) start; watch_idleness; fresh_schema ;;
  stop)
    stop
    rm -f "$folder/url"
    ;;
  *) fail "unknown command $command: start, schema or stop" ;;
esac
