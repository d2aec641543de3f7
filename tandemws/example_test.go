package tandemws_test

import (
	"context"
	"fmt"
	"log"

	"github.com/coder/websocket"

	"github.com/tandem-auth/tandem/tandemws"
)

// The feed continues although its connections are refused and cut.
func Example() {
	session, url, end := startFeed() // session is yours, url that of your server
	defer end()

	feed := func(ctx context.Context, conn *websocket.Conn) error {
		for {
			_, message, err := conn.Read(ctx)
			if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
				return nil // this server says so when there is no more
			}
			if err != nil {
				return err // connect again
			}
			fmt.Println(string(message))
		}
	}
	if err := tandemws.Run(context.Background(), session, url, quickly, feed); err != nil {
		log.Fatal(err)
	}
	// Output:
	// one
	// two
	// three
}

// A program with a loop of its own opens the connections one by one.
func ExampleDial() {
	session, url, end := startFeed()
	defer end()
	ctx := context.Background()

	for range 3 {
		conn, err := tandemws.Dial(ctx, session, url, tandemws.Options{})
		if err != nil {
			log.Fatal(err)
		}
		for err == nil {
			var message []byte
			if _, message, err = conn.Read(ctx); err == nil {
				fmt.Println(string(message))
			}
		}
		if conn.Lost(err) {
			fmt.Println("the next one uses a fresh token")
		}
		conn.CloseNow()
	}
	// Output:
	// one
	// the next one uses a fresh token
	// two
	// three
}
