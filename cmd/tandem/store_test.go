package main

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/zalando/go-keyring"

	"github.com/tandem-auth/tandem/tokenstore/filestore"
)

// hold keeps the lock of a session file, as another process does that refreshes, until
// something is in FILE: hold SESSION FILE.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	store, err := filestore.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	unlock, err := store.Lock(context.Background())
	ts.Check(err)
	said, over := ts.MkAbs(args[1]), make(chan struct{})
	var holder sync.WaitGroup
	holder.Go(func() {
		defer unlock()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			if info, err := os.Stat(said); err == nil && info.Size() > 0 {
				return
			}
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	})
	ts.Defer(func() { close(over); holder.Wait() })
}

// entry puts a text into the keyring, in the place of a profile's session:
// entry PROFILE URL TEXT.
func entry(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(keyring.Set("tandem", args[0]+" ("+args[1]+")", args[2]))
}
