package tandemsse_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/tandemsse"
)

// The server ends the stream after every second event; the program does not notice.
func Example() {
	session, url, end := streamtest.Example(numbers(5, 2)) // session is yours, url that of your server
	defer end()

	options := tandemsse.Options{
		IdleTimeout: time.Minute,      // this server sends a comment every half a minute
		MinWait:     time.Millisecond, // leave that out: an example takes no time
	}
	err := tandemsse.Subscribe(context.Background(), session, url, options, func(event tandemsse.Event) error {
		fmt.Println(event.Type, event.ID, event.Data)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// message 1 1
	// message 2 2
	// message 3 3
	// message 4 4
	// message 5 5
}
