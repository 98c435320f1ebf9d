# `make` lists what there is. Nothing here is needed to use Recoup: `go run ./cmd/recoup` is.

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## build ./recoup
	go build -o recoup ./cmd/recoup

.PHONY: test
test: ## run the tests, with the race detector
	go test ./... -race

# The image is tested where there is a dockerd that may be started.
docker := $(shell [ "$$(id -u)" = 0 ] && command -v dockerd >/dev/null && command -v docker >/dev/null && echo 1)

# The pages are opened where there is a browser.
browser := $(shell command -v chromium >/dev/null && command -v npm >/dev/null && echo 1)

.PHONY: clients
clients: ## install the SDKs in JavaScript that are tested
	npm ci --prefix internal/clients/js --ignore-scripts --no-audit --no-fund --loglevel=error

.PHONY: full
full: clients ## run the long forms of the tests too, twice, with Prometheus, an OTLP receiver, Docker and all SDKs, and fuzz
	RECOUP_FULL=1 RECOUP_CLIENTS=1 RECOUP_PROMETHEUS=1 RECOUP_OTLP=1 RECOUP_DOCKER=$(docker) RECOUP_BROWSER=$(browser) go test ./... -race -count=2 -timeout 60m
	$(MAKE) fuzz

# Inputs that fail are kept by the go command below testdata/fuzz, to be mended and committed.
FUZZTIME ?= 5m

.PHONY: fuzz
fuzz: ## fuzz the parsers of the wire formats, each for FUZZTIME (5m)
	@for target in $$(go test ./gateway/dialect -list '^Fuzz' | grep ^Fuzz); do \
		echo "== $$target" && go test ./gateway/dialect -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s || exit 1; \
	done

.PHONY: image
image: ## build the container image
	docker build --build-arg VERSION=$$(git describe --tags --always --dirty) -t recoup:local .

.PHONY: lint
lint: ## gofmt, go vet, golangci-lint
	.ci/run lint

.PHONY: generate
generate: ## write what is generated: dashboards, rules, parts of docs/
	go test ./cmd/recoup/internal/config -run TestDocumentation -update
	go test ./internal/providers -run TestDocumentation -update
	go test ./metrics -run TestDocumentation -update
	RECOUP_FULL=1 go test ./internal/clients -update
	go test ./dashboards/internal/... -update
	go test ./cmd/recoup -run TestDocumentedAudit -update

.PHONY: demo
demo: ## watch an answer survive its client
	go run ./cmd/recoup demo

.PHONY: bench-quick
bench-quick: ## measure the gateway against a plain proxy, in a few minutes
	go run ./cmd/recoup bench --quick

.PHONY: ci
ci: ## all that must pass, as .ci/run does it
	.ci/run
