# nilecare: what a person types. `make` alone says what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOLS   := .cache/bin
FUZZTIME ?= 10s
RACE ?= ./internal/record/... ./internal/web/... ./internal/fhirrest/... ./internal/seal/... ./internal/sqldb/...
# Parts of the store's suite in which nothing happens at the same time: test-go runs them.
SEQUENTIAL := TestRecord/(oracle|durability|search|rules|history|upkeep|secrecy|sight)

GOLANGCI_VERSION := v2.12.2
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)-$(shell go env GOVERSION 2>/dev/null)
EXAMPLES := .cache/r4-examples/package/package.json

# Nothing of ours needs a C compiler, the race detector apart.
export CGO_ENABLED := 0

.PHONY: help
help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: run
run: build ## build and start on 127.0.0.1:7000, data in ./data, with a synthetic hospital
	@exec bin/nilecare serve --data ./data --demo auto

.PHONY: build
build: ## leave bin/nilecare
	go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/nilecare ./cmd/nilecare

.PHONY: test
test: lint fixtures test-go test-race test-clients ## everything: lint, unit, both engines, whole program, race, npm clients

.PHONY: test-go
test-go: ## all Go tests, with a throwaway PostgreSQL
	scripts/with-postgres go test -timeout 9m ./...

.PHONY: test-race
test-race: ## the race detector on the concurrent packages
	scripts/need gcc=gcc /usr/include/stdlib.h=libc6-dev
	CGO_ENABLED=1 scripts/with-postgres go test -race -short -skip '$(SEQUENTIAL)' -timeout 9m $(RACE)

.PHONY: test-clients
test-clients: build ## real clients from npm, unchanged, against the server on both engines
	scripts/need --optional node=nodejs npm=npm
	scripts/with-postgres test/clients/run bin/nilecare

.PHONY: lint
lint: $(GOLANGCI) ## golangci-lint, as .golangci.yml says
	$(GOLANGCI) run ./...
	go vet ./...

$(GOLANGCI):
	@mkdir -p $(TOOLS)
	GOBIN=$(abspath $(TOOLS)) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(TOOLS)/golangci-lint $@

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (10s)
	scripts/fuzz $(FUZZTIME)

.PHONY: bench
bench: build ## measure the database's limits and the server, on both engines
	scripts/with-postgres bench/run

.PHONY: fixtures
fixtures: ## fetch the official R4 examples, which many tests read
	@if [ ! -f $(EXAMPLES) ]; then scripts/fixtures $(EXAMPLES); fi

.PHONY: generate
generate: fixtures ## make the generated files anew
	go generate ./...

.PHONY: clean
clean: ## remove what was built (data and caches stay)
	rm -rf bin
	go clean -testcache
