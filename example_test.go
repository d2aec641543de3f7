package tandem_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/tandem-auth/tandem"
)

// The program signs in once and then uses an ordinary http.Client. However long
// it runs, it never meets an expired token.
func Example() {
	server := startServer() // yours: "tandem serve", or package server
	defer server.Close()
	ctx := context.Background()

	session, err := tandem.Open(ctx, tandem.NewMemoryStore(), tandem.Config{URL: server.URL})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(ctx, "ann", password); err != nil {
		log.Fatal(err)
	}

	resp, err := session.Client().Get(server.URL + "/auth/me")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)

	if err := session.SignOut(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("signed in:", session.Status().SignedIn)
	// Output:
	// 200 OK
	// signed in: false
}

// A session that ends may begin again in place: the requests that wait for it
// then go on.
func ExampleConfig_onEnd() {
	server := startServer()
	defer server.Close()
	ctx := context.Background()

	session, err := tandem.Open(ctx, tandem.NewMemoryStore(), tandem.Config{
		URL: server.URL,
		OnEnd: func(ctx context.Context, session *tandem.Session, end *tandem.EndedError) {
			fmt.Println("the session has ended:", end.Reason)
			if err := session.SignIn(ctx, "ann", password); err != nil {
				log.Print(err)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(ctx, "ann", password); err != nil {
		log.Fatal(err)
	}

	server.endAllSessions()
	resp, err := session.Client().Get(server.URL + "/auth/me")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// the session has ended: revoked
	// 200 OK
}

// A program that has a client of its own wraps its transport.
func ExampleSession_Transport() {
	server := startServer()
	defer server.Close()
	session, err := tandem.Open(context.Background(), tandem.NewMemoryStore(), tandem.Config{URL: server.URL})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(context.Background(), "ann", password); err != nil {
		log.Fatal(err)
	}

	client := &http.Client{Transport: session.Transport(http.DefaultTransport)}
	resp, err := client.Get(server.URL + "/auth/sessions")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status)
	// Output: 200 OK
}
