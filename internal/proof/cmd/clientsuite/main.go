// Command clientsuite serves the conformance suite for clients, so that clients in other
// languages can play it. It prints the URL of the control API and runs until it is
// interrupted. docs/conformance.md describes the API.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/tandem-auth/tandem/internal/proof/clientsuite"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where the control API is; the server and the other origins get ports of their own beside it")
	scenarios := flag.String("scenarios", "testdata/vectors/client", "the folder with the scenarios")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serve(ctx, *listen, *scenarios, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "clientsuite:", err)
		os.Exit(1)
	}
}

// serve serves the suite until ctx ends, and prints where.
func serve(ctx context.Context, address, folder string, out io.Writer) (err error) {
	table, err := clientsuite.Load(os.DirFS(folder))
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	var urls []string
	beside := net.JoinHostPort(host, "0")
	for _, at := range []string{address, beside, beside, beside} {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
		urls = append(urls, "http://"+l.Addr().String())
	}
	suite, err := clientsuite.New(table, clientsuite.Origins{Auth: urls[1], API: urls[2], Elsewhere: urls[3]})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, suite.Close()) }()

	var servers [4]*http.Server
	var served sync.WaitGroup
	for i, handler := range []http.Handler{suite.Control, suite.Auth, suite.API, suite.Elsewhere} {
		servers[i] = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		served.Go(func() { _ = servers[i].Serve(listeners[i]) })
	}
	defer func() {
		for _, server := range servers {
			err = errors.Join(err, server.Close())
		}
		served.Wait()
	}()
	if _, err := fmt.Fprintln(out, urls[0]); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
