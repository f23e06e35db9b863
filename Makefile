# The targets that people use. `make` alone lists them.

GO       ?= go
FUZZTIME ?= 20s
# Packages run in this order: those that take longest must not begin last.
PKGS     ?= ./pkg/jobs ./internal/e2e ./internal/frontend ./internal/batch ./...

# Packages start NATS clusters and build race-instrumented binaries: two of them side by
# side are what two busy cores can carry without a timeout that means nothing.
TESTFLAGS ?= -p 2 -timeout 15m

LINT     = $(GO) tool -modfile=tools/go.mod golangci-lint
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X github.com/osiris/osiris/internal/service.stamp=$(VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: ## Run everything in one process: NATS, a frontend and a worker
	$(GO) run ./cmd/osiris up

.PHONY: build
build: ## Build the three programs into bin/, static, with the version in them
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: test
test: ## All tests, with the race detector if there is a C compiler
	$(GO) test $(if $(shell command -v $${CC:-cc} 2>/dev/null),-race) $(TESTFLAGS) $(PKGS)

.PHONY: race
race: ## All tests with the race detector, uncached
	$(GO) test -race -count=1 $(TESTFLAGS) $(PKGS)

.PHONY: sockets
sockets: ## Tests of the connections that a program with the race detector does without
	$(GO) test $(TESTFLAGS) ./internal/socket/... ./internal/provider/...
	$(GO) test $(TESTFLAGS) ./internal/e2e -run 'Upstream|Reader|Silence|Gone|Large|Streams'

.PHONY: lint
lint: ## All linters, at the version in tools/go.mod
	$(LINT) run

.PHONY: fmt
fmt: ## Format and sort imports
	$(LINT) fmt

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what is reachable
	$(GO) tool -modfile=tools/go.mod govulncheck ./...

.PHONY: fuzz
fuzz: ## Each fuzzer for FUZZTIME (20s); what it finds becomes a seed in testdata
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	for pkg in $$(grep -rl '^func Fuzz' --include='*_test.go' cmd internal pkg | xargs -n1 dirname | sort -u); do \
	  $(GO) test -c -fuzz . -o "$$dir/fuzz" "./$$pkg"; \
	  for fuzzer in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$pkg/*_test.go | cut -c6-); do \
	    echo "== $$fuzzer of $$pkg"; \
	    (cd "$$pkg" && "$$dir/fuzz" -test.run '^$$' -test.fuzz "^$$fuzzer\$$" -test.fuzztime $(FUZZTIME) \
	      -test.fuzzminimizetime 100x -test.fuzzcachedir "$$($(GO) env GOCACHE)/fuzz/osiris/$$pkg"); \
	  done; \
	done

.PHONY: bench
bench: ## The benchmarks, five times each: compare two runs with benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count 5 -p 1 -timeout 60m $(PKGS)

.PHONY: allocs
allocs: ## Fail if the hot path allocates more often than bench/allocs/allowed.txt says
	$(GO) run ./bench/allocs

.PHONY: integration
integration: ## The whole system in containers; without an engine it fails
	CI=true $(GO) test -count=1 -v -timeout 15m ./integration/...

.PHONY: image
image: ## Build the container image osiris:dev
	docker build -f deployments/Dockerfile --build-arg VERSION=$(VERSION) -t osiris:dev .

.PHONY: clean
clean: ## Remove what build made
	rm -rf bin
