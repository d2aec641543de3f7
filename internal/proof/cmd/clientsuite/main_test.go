package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/internal/proof/clientsuite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A client of another language starts the command, reads the address and asks for the
// table.
func TestTheAddressIsPrintedAndTheTableServed(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, "127.0.0.1:0", "../../../../testdata/vectors/client", write) }()
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.Get(strings.TrimSpace(line) + "/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var table []clientsuite.Scenario
	if err := json.NewDecoder(resp.Body).Decode(&table); err != nil || len(table) == 0 {
		t.Errorf("%d scenarios, %v", len(table), err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAFolderWithoutScenariosIsRefused(t *testing.T) {
	if err := serve(t.Context(), "127.0.0.1:0", t.TempDir(), io.Discard); err == nil {
		t.Error("no error")
	}
}
