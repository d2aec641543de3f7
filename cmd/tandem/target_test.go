package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// target starts an API and sets a variable to its URL: target NAME.
func target(ts *testscript.TestScript, _ bool, args []string) {
	s := httptest.NewServer(newTarget())
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// tlsTarget is target with a certificate that nobody knows: tlstarget NAME.
func tlsTarget(ts *testscript.TestScript, _ bool, args []string) {
	s := httptest.NewUnstartedServer(newTarget())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// impostor starts a target where another server was: impostor ADDR.
func impostor(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", args[0])
	ts.Check(err)
	s := &httptest.Server{Listener: listener, Config: &http.Server{Handler: newTarget()}}
	s.Start()
	ts.Defer(s.Close)
}

// newTarget returns an API for anybody: what comes of a request is what it shows.
func newTarget() http.Handler {
	var refused sync.Map
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	// The first request with each key is refused.
	mux.HandleFunc("/once/{key}", func(w http.ResponseWriter, r *http.Request) {
		if _, again := refused.LoadOrStore(r.PathValue("key"), true); again {
			echo(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, "refused", http.StatusUnauthorized)
	})
	mux.HandleFunc("/zeros/{megabytes}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("megabytes"))
		for chunk := make([]byte, 1<<20); n > 0; n-- {
			_, _ = w.Write(chunk)
		}
	})
	mux.HandleFunc("/redirect/{status}", func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.PathValue("status"))
		_, _ = io.Copy(io.Discard, r.Body)
		if status != http.StatusNotModified {
			w.Header().Set("Location", "/echo")
		}
		w.WriteHeader(status)
	})
	// Three servers that are none of Tandem's.
	mux.HandleFunc("/html/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Welcome")
	})
	mux.HandleFunc("/moved/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/html/", http.StatusFound) })
	mux.HandleFunc("/busy/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/auth/me", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	// Who comes to the gate waits until it is opened.
	arrived, open := make(chan struct{}), make(chan struct{})
	mux.HandleFunc("/gate", func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		select {
		case <-open:
			fmt.Fprint(w, "through the gate")
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/arrived", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-arrived:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/open", func(http.ResponseWriter, *http.Request) { close(open) })
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "grüß <dich>") })
	mux.HandleFunc("/binary", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0xff, 0, 1}) })
	return mux
}

func echo(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "length": n, "chunked": r.ContentLength < 0, "type": r.Header.Get("Content-Type"),
		"bearer": strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey"), "extra": r.Header["X-Extra"],
	})
}

// zeros writes a file of so many megabytes: zeros FILE MEGABYTES.
func zeros(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(writeZeros(ts.MkAbs(args[0]), n<<20))
}

func writeZeros(path string, n int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := f.Truncate(n); err != nil {
		return err
	}
	return f.Close()
}
