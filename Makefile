# `make` lists the targets. Everything built lands in bin/.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PORT      ?= 8080
FUZZTIME  ?= 20s
TESTFLAGS ?=

TOOLS                 := $(CURDIR)/bin/tools
GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT         := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
FLUX_OPERATOR_VERSION := v0.58.1
FLUX_OPERATOR         := $(TOOLS)/flux-operator-$(FLUX_OPERATOR_VERSION)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The version says which commit this is, so Go's own stamp is off: it would make
# the bytes depend on how the sources were fetched, and needs a .git to read.
.PHONY: build
build: ## build bin/tributary, static and reproducible
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags timetzdata \
		-ldflags '-s -w -X main.version=$(VERSION)' -o bin/tributary ./cmd/tributary

.PHONY: run
run: build ## serve examples/fleet on 127.0.0.1:8080 (PORT=… for another port)
	@echo
	@echo '  Serving examples/fleet; Ctrl-C stops it. From another terminal, try:'
	@echo
	@echo '    curl -s http://127.0.0.1:$(PORT)/api/v1/clusters'
	@echo '    curl -s http://127.0.0.1:$(PORT)/api/v1/flux/clusters/eu-prod-01/platform-components'
	@echo '    curl -s http://127.0.0.1:$(PORT)/api/v1/flux/clusters/eu-prod-01/namespaces'
	@echo
	@exec bin/tributary serve examples/fleet --listen 127.0.0.1:$(PORT)

.PHONY: test
test: ## run the tests with the race detector; installs what they need
	@.ci/need cc git
	CGO_ENABLED=1 go test -race $(TESTFLAGS) ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## check formatting, go vet, golangci-lint
	@unformatted=$$(gofmt -l .); \
		if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted >&2; exit 1; fi
	go vet -tags conformance ./...
	$(GOLANGCI_LINT) run

.PHONY: fuzz
fuzz: ## run every fuzz target for a short time (FUZZTIME=20s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: ## run the benchmarks that docs/benchmarks.md reports
	go test -run '^$$' -bench . -benchmem $(TESTFLAGS) ./...

.PHONY: conformance
conformance: $(FLUX_OPERATOR) ## build the example ResourceSets with the real flux-operator CLI
	@.ci/need git
	FLUX_OPERATOR_CLI=$(FLUX_OPERATOR) go test -tags conformance -count=1 -run Conformance $(TESTFLAGS) ./cmd/tributary

.PHONY: image
image: ## build the container image tributary:VERSION with docker
	docker build -f deploy/Dockerfile --build-arg VERSION=$(VERSION) -t tributary:$(VERSION) .

.PHONY: clean
clean: ## remove what was built, tools included
	rm -rf bin coverage.out

$(GOLANGCI_LINT):
	GOBIN=$(TOOLS) CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(FLUX_OPERATOR):
	GOBIN=$(TOOLS) CGO_ENABLED=0 go install github.com/controlplaneio-fluxcd/flux-operator/cmd/cli@$(FLUX_OPERATOR_VERSION)
	mv $(TOOLS)/cli $@
