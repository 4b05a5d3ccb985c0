# Rempart. `make help` lists what there is.
GO      ?= go
PKG     := ./...
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: help demo build test check bench fuzz campaign screens docs setup clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: build ## build and run the whole product on an embedded database
	./bin/rempart demo

build: ## build bin/rempart
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/rempart ./cmd/rempart

setup: ## install what the full test run needs (Debian)
	./scripts/setup

test: setup check ## everything: linters, race detector, both engines, browser, fuzz seeds
	REMPART_TEST_REQUIRE=postgres,chromium,node $(GO) test -race -timeout 15m $(PKG)
	REMPART_TEST_REQUIRE=postgres REMPART_TEST_ENGINE=postgres $(GO) test -timeout 15m $$($(GO) list $(PKG) | grep -v internal/demo)
	REMPART_TEST_POOL=1 $(GO) test -timeout 10m ./internal/scenario/... ./internal/app/...
	GODEBUG=fips140=on $(GO) test -timeout 5m ./internal/keyring/...

check: ## formatting, vet, staticcheck, known vulnerabilities
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not formatted: $$out"; exit 1; }
	$(GO) vet $(PKG)
	./scripts/lint

bench: ## measure goals.md's quantities; prints a table, see docs/benchmarks.md
	./scripts/bench

fuzz: ## fuzz every parser, a minute each (FUZZTIME=1m)
	./scripts/fuzz $${FUZZTIME:-1m}

campaign: ## long campaigns: crashes and faults, an hour (CAMPAIGN=1h)
	REMPART_CAMPAIGN=$${CAMPAIGN:-1h} $(GO) test -timeout 0 -run Campaign -v ./internal/scenario/...

screens: ## take the golden screenshots again
	REMPART_SCREENS=write REMPART_TEST_REQUIRE=chromium $(GO) test -run Screens ./internal/demo/...

docs: build ## write the generated catalogues
	./bin/rempart docs --into docs

clean: ## remove what was built
	rm -rf bin
