# `make` lists the targets. Everything that is built is in bin/.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PORT      ?= 8080
STORE     ?= sqlite:bin/run.db
ADDRESS   ?= bin/run.addr
FUZZTIME  ?= 20s
SOAKTIME  ?= 10m
BENCH     ?= .
TESTFLAGS ?=

TOOLS                 := $(CURDIR)/bin/tools
GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT         := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
FLUX_OPERATOR_VERSION := v0.58.1
FLUX_OPERATOR_CLI     := $(TOOLS)/flux-operator-$(FLUX_OPERATOR_VERSION)
FLUX_OPERATOR         := $(TOOLS)/flux-operator-controller-$(FLUX_OPERATOR_VERSION)
ORAS_VERSION          := v1.3.6
ORAS                  := $(TOOLS)/oras-$(ORAS_VERSION)
COSIGN_VERSION        := v3.1.3
COSIGN                := $(TOOLS)/cosign-$(COSIGN_VERSION)
KUSTOMIZE_VERSION     := v5.8.2
KUSTOMIZE             := $(TOOLS)/kustomize-$(KUSTOMIZE_VERSION)
FLUXOCI               := $(TOOLS)/fluxoci
ETCD                  := $(TOOLS)/etcd
KUBE_APISERVER        := $(TOOLS)/kube-apiserver
PROMETHEUS_OPERATOR   := v0.85.0
CRDS                  := $(TOOLS)/crds-flux-operator-$(FLUX_OPERATOR_VERSION)-prometheus-operator-$(PROMETHEUS_OPERATOR)

# The programs that tests run, which are built here. Others are found on PATH.
export ORAS_CLI    := $(ORAS)
export COSIGN_CLI  := $(COSIGN)
export FLUXOCI_CLI := $(FLUXOCI)
export KUSTOMIZE_CLI := $(KUSTOMIZE)
export TRIBUTARY_CLI := $(CURDIR)/bin/tributary
export ETCD KUBE_APISERVER CRDS FLUX_OPERATOR FLUX_OPERATOR_CLI

# The other programs that tests run. .ci/need installs them.
NEEDED := cc git gpg gpgsm ssh-keygen sshd docker-registry postgres sqlite3

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The version names the commit. Go's own stamp is off, because it needs a .git directory
# and would make the binary depend on how the sources were fetched.
.PHONY: build
build: ## build bin/tributary, static and reproducible
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags timetzdata \
		-ldflags '-s -w -X main.version=$(VERSION)' -o bin/tributary ./cmd/tributary

# The hints come once the server is ready, so that they are neither lost above its log nor printed for one
# that cannot run. The shell's process becomes the server.
.PHONY: run
run: build ## serve examples/fleet on 127.0.0.1:8080 (PORT=… for another port)
	@rm -f $(ADDRESS)
	@(until [ -s $(ADDRESS) ] && curl -sf "http://$$(cat $(ADDRESS))/readyz" >/dev/null; do \
		kill -0 $$$$ 2>/dev/null || exit 0; sleep 0.1; \
	done; url=http://$$(cat $(ADDRESS))/api/v1; printf '%s\n' '' \
		'  Serving examples/fleet until Ctrl-C. In another terminal, try:' '' \
		"    curl -s $$url/clusters" \
		"    curl -s $$url/flux/clusters/eu-prod-01/platform-components" \
		"    curl -s $$url/flux/clusters/eu-prod-01/namespaces" '') & \
	exec $(TRIBUTARY_CLI) serve examples/fleet --listen 127.0.0.1:$(PORT) --addr-file $(ADDRESS) --store $(STORE)

# A package takes well under two minutes on an idle machine. The limit leaves room
# for a slow one that is busy with something else.
TESTTIMEOUT ?= 30m

# The slowest packages start first.
SLOW := ./cmd/tributary ./sources ./fleet/controller ./render

.PHONY: test
test: build $(ORAS) $(COSIGN) $(FLUXOCI) ## run the tests with the race detector; installs the programs that they need
	@.ci/need $(NEEDED)
	CGO_ENABLED=1 go test -race -short -timeout $(TESTTIMEOUT) $(TESTFLAGS) $(SLOW) ./... ./.ci/benchmarks

# The tests that do less with -short.
LONG := TestScripts|TestFirstLineNamesTheFault|TestNothingShowsACredential|TestRestartNeedsNoSource|TestAcknowledgedWritesSurviveKill
LONG := $(LONG)|TestClusterGetsWhatKustomizeBuilds|TestTreesAreBuiltOrRefusedAsByKustomize|TestHerdWithOneCredentialIsAnswered|TestPollsBeyondCapacityAreShedUntilThereIsRoom|TestAnswersAreOfOneReleaseWhileReleasesSwap
LONG := $(LONG)|TestSQLite|TestPostgres|TestConcurrentWritersLoseNoUpdate|TestThousandConcurrentRegistrationsSucceed|TestGitReadsWhatGitArchives

.PHONY: long
long: $(ORAS) $(FLUXOCI) ## run in full the tests that `make test` shortens
	@.ci/need $(NEEDED)
	CGO_ENABLED=1 go test -race -count=1 -timeout $(TESTTIMEOUT) -run '^($(LONG))$$' $(TESTFLAGS) ./cmd/tributary ./fleet/controller ./fleet/sqlstore ./render ./server ./sources

.PHONY: reference
reference: ## write docs/reference/cli.md from the commands
	go test -count=1 -run TestReferenceOfCommandsIsCurrent ./cmd/tributary -update

.PHONY: lint
lint: $(GOLANGCI_LINT) ## check formatting, go vet, golangci-lint
	@unformatted=$$(gofmt -l .); \
		if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted >&2; exit 1; fi
	go vet -tags conformance ./...
	$(GOLANGCI_LINT) run

.PHONY: fuzz
fuzz: ## run every fuzz target for a short time (FUZZTIME=20s)
	@.ci/fuzz $(FUZZTIME)

# First one fleet after another, each with other random steps. A failure prints its seed,
# and make soak SOAKTIME=0s TRIBUTARY_SOAK_SEED=… repeats it. Then two servers on one
# PostgreSQL, which are stopped and killed, for the same time.
.PHONY: soak
soak: ## inject faults into a fleet of 200 clusters and into its servers (SOAKTIME=10m for each)
	@.ci/need git postgres
	TRIBUTARY_SOAK_TIME=$(SOAKTIME) TRIBUTARY_SOAK_STEPS=$${TRIBUTARY_SOAK_STEPS:-500} \
		TRIBUTARY_SOAK_SEED=$${TRIBUTARY_SOAK_SEED:-$$RANDOM} \
		go test -count=1 -timeout 0 -run NothingBreaks $(TESTFLAGS) ./fleet/soaktest
	TRIBUTARY_SOAK_TIME=$(SOAKTIME) go test -count=1 -timeout 0 -run ServersComeAndGo -v $(TESTFLAGS) ./cmd/tributary

# A run of some benchmarks, such as BENCH=Poll, keeps the recorded results of the others.
.PHONY: bench
bench: $(ORAS) $(KUSTOMIZE) ## run the benchmarks and record them in docs/benchmarks.md (BENCH=…)
	@.ci/need git docker-registry nginx postgres
	@mkdir -p bin
	go test -run '^$$' -bench '$(BENCH)' -timeout 0 $(TESTFLAGS) ./... | tee bin/bench.txt
	go run ./.ci/benchmarks docs <bin/bench.txt

.PHONY: conformance
conformance: $(FLUX_OPERATOR_CLI) $(FLUX_OPERATOR) $(ETCD) $(KUBE_APISERVER) $(CRDS) ## run against the real Flux Operator and Kubernetes API server
	@.ci/need git
	go test -tags conformance -count=1 -timeout $(TESTTIMEOUT) -run Conformance $(TESTFLAGS) ./cmd/tributary ./deploy/...

.PHONY: image
image: ## build the container image tributary:VERSION with docker
	docker build --build-arg VERSION=$(VERSION) -t tributary:$(VERSION) .

.PHONY: imagetest
imagetest: ## build the image with buildah and check that it answers polls; needs root
	@.ci/need buildah curl
	@.ci/image

.PHONY: clean
clean: ## remove bin/, including the tools
	rm -rf bin coverage.out

$(GOLANGCI_LINT):
	GOBIN=$(TOOLS) CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(FLUX_OPERATOR_CLI):
	GOBIN=$(TOOLS) CGO_ENABLED=0 go install github.com/controlplaneio-fluxcd/flux-operator/cmd/cli@$(FLUX_OPERATOR_VERSION)
	mv $(TOOLS)/cli $@

$(ORAS):
	GOBIN=$(TOOLS) CGO_ENABLED=0 go install oras.land/oras/cmd/oras@$(ORAS_VERSION)
	mv $(TOOLS)/oras $@

$(COSIGN):
	GOBIN=$(TOOLS) CGO_ENABLED=0 go install github.com/sigstore/cosign/v3/cmd/cosign@$(COSIGN_VERSION)
	mv $(TOOLS)/cosign $@

$(KUSTOMIZE):
	GOBIN=$(TOOLS) CGO_ENABLED=0 go install sigs.k8s.io/kustomize/kustomize/v5@$(KUSTOMIZE_VERSION)
	mv $(TOOLS)/kustomize $@

$(FLUXOCI): $(wildcard .ci/fluxoci/*)
	cd .ci/fluxoci && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $@ .

$(ETCD): $(wildcard .ci/kube-apiserver/*)
	cd .ci/kube-apiserver && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $@ go.etcd.io/etcd/server/v3

$(KUBE_APISERVER): $(wildcard .ci/kube-apiserver/*)
	cd .ci/kube-apiserver && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $@ k8s.io/kubernetes/cmd/kube-apiserver

# The directory of a module in the module cache.
module = "$$(go mod download -json $(1) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p')"

# The custom resource definitions that the manifests use, from the operators' sources.
$(CRDS):
	rm -rf $@.part && mkdir -p $@.part
	cp $(call module,github.com/controlplaneio-fluxcd/flux-operator@$(FLUX_OPERATOR_VERSION))/config/crd/bases/*.yaml \
		$(call module,github.com/prometheus-operator/prometheus-operator@$(PROMETHEUS_OPERATOR))/example/prometheus-operator-crd/*_servicemonitors.yaml $@.part
	mv $@.part $@

# The module lacks the built web pages, and one dependency does not exist at the version
# that go.mod requires. The operator is built with an empty page and another version.
REGISTRY_AUTH := github.com/google/go-containerregistry/pkg/authn/kubernetes
$(FLUX_OPERATOR):
	rm -rf $@.src && cp -r $(call module,github.com/controlplaneio-fluxcd/flux-operator@$(FLUX_OPERATOR_VERSION)) $@.src
	chmod -R u+w $@.src && mkdir -p $@.src/web/dist && touch $@.src/web/dist/index.html
	cd $@.src && go mod edit -replace $(REGISTRY_AUTH)=$(REGISTRY_AUTH)@v0.0.0-20260224031529-85f2bf5f7303 && \
		CGO_ENABLED=0 go build -mod=mod -trimpath -buildvcs=false -o $@ ./cmd/operator
	rm -rf $@.src
