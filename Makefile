# The packages that test, unit, short, lint, vet, bench, fuzz and cross work on.
PKGS ?= ./...
# Further arguments of `bin/tandem try`, for `make run`.
ARGS ?=
# How long each fuzz test runs, for `make fuzz`.
FUZZTIME ?= 20s
# How often each benchmark runs or for how long, and which, for `make bench`.
BENCHTIME ?= 1s
BENCH ?= .
# Flags of `make bench-stores`, `make scale` and `make soak`.
STORES ?=
SCALE ?=
SOAK ?=

# How long the tests of one package may take. The slowest needs some minutes where
# nothing else runs; the limit is for tests that hang, not for machines that are slow.
TEST_TIMEOUT ?= 40m
# How many packages are tested at the same time: two for each core, since tests wait much.
TEST_PROCESSES ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1))))

# How many refreshes are simulated, and how many users whose stores fail or go back, from
# which seed on, and how often the server is killed, for `make simulate` and `make chaos`.
REFRESHES ?= 100000
HISTORIES ?= 10000
SEED ?= 1
KILLS ?= 50

VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFUMPT = go tool -modfile=tools/go.mod gofumpt
GOLANGCI = go tool -modfile=tools/go.mod golangci-lint

export PKGS FUZZTIME TEST_TIMEOUT TEST_PROCESSES VERSION

.DEFAULT_GOAL := help
.PHONY: bench-guard bench-client bench-stores scale soak simulate chaos gauntlet prove help run test build lint lint-all fmt vet unit short browser bench fuzz cross clean go

help: ## Print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

run: build ## Try it: a server with a demo user, on this machine (ARGS='--listen :9090')
	@exec bin/tandem try $(ARGS)

test: go ## Everything that CI runs, after installing what it needs
	@MAKE="$(MAKE)" scripts/test

build: go ## Build bin/tandem
	@[ -x bin/tandem ] || echo "building bin/tandem; the first time takes a minute or two"
	@CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/tandem ./cmd/tandem

lint: go ## Find mistakes (go vet, staticcheck and others), and check the format
	@mkdir -p bin
	@cd tools && go build -o ../bin/lint ./lint
	@go vet -vettool="$(CURDIR)/bin/lint" $(PKGS)
	@cd bench && go vet -vettool="$(CURDIR)/bin/lint" ./...
	@unformatted=$$($(GOFUMPT) -l .); if [ -n "$$unformatted" ]; then echo "run make fmt: $$unformatted"; exit 1; fi

lint-all: go ## The same and matters of style (golangci-lint; builds for minutes the first time)
	@$(GOLANGCI) run $(PKGS)

fmt: go ## Format the code
	@$(GOFUMPT) -l -w .

vet: go ## Run go vet
	@go vet $(PKGS)
	@cd bench && go vet ./...

unit: go ## Run the tests alone, with the race detector
	@go test -race -vet=off -p $(TEST_PROCESSES) -timeout $(TEST_TIMEOUT) $(PKGS)

short: go ## Run the tests that take no time, without the race detector
	@go test -short -vet=off -p $(TEST_PROCESSES) -parallel $(TEST_PROCESSES) -timeout $(TEST_TIMEOUT) $(PKGS)

browser: go ## Run the tests that drive a browser
	@scripts/install-test-parts
	@exec scripts/test-browser

bench: go ## Run the benchmarks (BENCH=Decode BENCHTIME=5s)
	@go test -run '^$$' -bench '$(BENCH)' -benchtime '$(BENCHTIME)' -benchmem $(PKGS)

bench-client: go ## What the client costs, beside a header set by hand and golang.org/x/oauth2
	@cd bench && go test -run '^$$' -bench 'Transport|Callers|GivingUp' -benchtime '$(BENCHTIME)' .

bench-guard: go ## What checking an access token costs, beside golang-jwt, jwx, go-oidc and keyfunc
	@cd bench && go test -run '^$$' -bench 'Guard' -benchtime '$(BENCHTIME)' .

bench-stores: go ## Refreshes a second on every store, beside go-oauth2 (STORES='-rounds 5')
	@cd bench && go run ./cmd/stores $(STORES)

scale: go ## Fill a store with up to 10 million sessions, and measure (SCALE='-store postgres')
	@cd bench && go run ./cmd/scale $(SCALE)

fuzz: go ## Run each fuzz test for a while (FUZZTIME=5m)
	@exec scripts/fuzz

simulate: go ## Simulate weeks on a bad network, and stores that fail (REFRESHES=1000000 SEED=7)
	@mkdir -p bin
	@go test ./internal/proof/simulation -vet=off -count=1 -v -timeout 60m -run 'Promises|Stores' -refreshes $(REFRESHES) -histories $(HISTORIES) -seed $(SEED) >bin/simulate.log 2>&1; \
		status=$$?; grep -vE '^ *(=== |--- PASS)' bin/simulate.log; exit $$status

chaos: simulate ## The same, then kill the real server again and again (KILLS=500)
	@go run ./internal/proof/cmd/chaos -kills $(KILLS)

soak: go ## Run the server for 10 minutes at half load, then under attack (SOAK='-for 1m')
	@go run ./internal/proof/cmd/soak $(SOAK)

gauntlet: go ## Put all schemes through it, and write the table in docs/protocol.md
	@go test ./internal/proof/simulation -vet=off -count=1 -timeout 60m -run Other -refreshes 200000 -update

prove: go ## Search every history of a session for one that breaks a promise
	@go run ./internal/proof/cmd/prove -deep

cross: go ## Build for the other systems, into bin/ (make test only type-checks for them)
	@exec scripts/cross

clean: ## Remove what was built
	@rm -rf bin

go:
	@scripts/check-go
