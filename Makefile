# What a person does with this project; `make` lists it. Continuous integration is `.ci/run`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps build install uninstall dist image test lint fmt demo up bench pictures deploy-files deploy-check
.PHONY: sqlx-prepare sqlx-check

# Queries are checked against the data in .sqlx: building needs no database.
export SQLX_OFFLINE := true
export PREFIX DESTDIR

TEST_SERVER := tests/support/postgres.sh
TEST_FOLDER := target/test-pg
RELEASE_BIN := target/release/syncline
# What is installed and packed; another program than the release build may be named.
BINARY ?= $(RELEASE_BIN)
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)

help: ## this list
	@echo "Syncline: a PostgreSQL replica of Jira, fresh and provably right"; echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'

deps: ## install what this machine lacks (PostgreSQL, by apt)
	@.ci/deps

.PHONY: test-deps
test-deps:
	@.ci/deps test

build: deps ## build the program, optimised
	cargo build --release --locked --bin syncline

# Not built as root: `make build`, then `sudo make install`.
$(RELEASE_BIN):
	@$(MAKE) build

install: $(BINARY) ## install the built program, completions, manual, units below PREFIX (/usr/local), DESTDIR before it
	@deploy/install/install.sh $(BINARY)

uninstall: ## remove what `make install` installed
	@deploy/install/install.sh --remove

dist: build ## make target/dist: archive, Debian package, checksums
	@deploy/install/dist.sh $(BINARY) target/dist

image: build ## make the container image syncline:latest with buildah, on the base BASE (see deploy/docker/image.sh)
	@deploy/docker/image.sh $(BINARY) syncline:latest $(BASE)

test: test-deps ## run all tests, each on a real PostgreSQL database of its own
	@trap '$(TEST_SERVER) stop $(TEST_FOLDER)' EXIT; \
	if [ "$(NEXTEST)" = yes ]; then cargo nextest run --locked --no-fail-fast; \
	else cargo test --locked --no-fail-fast; fi

lint: deps sqlx-check deploy-check ## check format, lints, deploy/ and that .sqlx is current
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	@for script in .ci/run .ci/deps $(TEST_SERVER) tests/deploy/run.sh deploy/install/*.sh deploy/docker/*.sh; do bash -n $$script; done

fmt: ## format the source
	cargo fmt

demo: build ## see it work: two workers, a simulated Jira, a crash, a verified replica
	$(RELEASE_BIN) demo

up: build ## the stack of the demo, running until Ctrl-C
	$(RELEASE_BIN) demo --stay

bench: test-deps ## measure; writes target/bench/summary.json
	cargo bench --locked --bench sync

pictures: test-deps ## draw the dashboards of a rehearsed day into docs/pictures
	cargo bench --locked --profile dev --bench sync -- pictures

deploy-check: ## check deploy/: image, compose, chart, units (no container engine needed)
	@tests/deploy/run.sh

deploy-files: ## write what is generated: the chart's copies of dashboards/, deploy/kubernetes
	@tests/deploy/run.sh write

# The query macros write one file per query into SQLX_OFFLINE_DIR while they ask the database. They run when a file is
# compiled, hence the touch.
target/sqlx.current: export SQLX_OFFLINE := false
target/sqlx.current: export SQLX_OFFLINE_DIR := $(CURDIR)/target/sqlx
.PHONY: target/sqlx.current
target/sqlx.current:
	@rm -rf target/sqlx && mkdir -p target/sqlx .sqlx
	@# First without a database, whatever comes of it, so that the dependencies are there: the server leaves by itself when
	@# nobody asks it for a minute.
	@SQLX_OFFLINE=true cargo check --locked --lib || true
	@touch src/lib.rs
	DATABASE_URL=$$($(TEST_SERVER) schema $(TEST_FOLDER)) cargo check --locked --lib

sqlx-prepare: deps target/sqlx.current ## write .sqlx anew, after a change of migrations or queries
	@rm -rf .sqlx && mkdir .sqlx && cp -r target/sqlx/. .sqlx/
	@echo ".sqlx holds $$(find .sqlx -name 'query-*.json' | wc -l) queries: commit it"

sqlx-check: deps target/sqlx.current ## whether .sqlx fits the queries and migrations
	@diff -rq .sqlx target/sqlx || { echo ".sqlx is not current: make sqlx-prepare, and commit it" >&2; exit 1; }
