package tandemotel_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/tandemotel"
)

// A session whose traces go to the program's exporter.
func Example() {
	server, stop := startServer() // yours
	defer stop()
	exporter := tracetest.NewInMemoryExporter() // yours, such as otlptracegrpc
	traces := trace.NewTracerProvider(trace.WithSyncer(exporter))

	observe, err := tandemotel.Observe(tandemotel.Options{TracerProvider: traces})
	if err != nil {
		log.Fatal(err)
	}
	session, err := tandem.Open(context.Background(), tandem.NewMemoryStore(), tandem.Config{
		URL:       testserver.URL,
		Transport: server.Transport(),
		Observe:   observe,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	registration, err := tandemotel.RegisterStats(session.Stats, tandemotel.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Unregister()

	if err := session.SignIn(context.Background(), "ann", "nna"); err != nil {
		log.Fatal(err)
	}
	for _, span := range exporter.GetSpans() {
		fmt.Println(span.Name)
	}
	// Output: tandem.sign_in
}

func startServer() (server *testserver.Server, stop func()) {
	dir, err := os.MkdirTemp("", "tandem-example")
	if err != nil {
		log.Fatal(err)
	}
	server, err = testserver.Start(dir)
	if err != nil {
		log.Fatal(err)
	}
	return server, func() {
		_ = server.Close()
		_ = os.RemoveAll(dir)
	}
}
