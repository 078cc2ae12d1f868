#!/bin/bash
# Runs once, when the database is made: a role with which Grafana reads and changes nothing.
set -euo pipefail
psql --set ON_ERROR_STOP=1 --set password="$GRAFANA_DATABASE_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE grafana LOGIN PASSWORD :'password' IN ROLE pg_read_all_data;
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE grafana SET statement_timeout = '30s';
SQL
