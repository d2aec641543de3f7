package directory

import (
	"fmt"
	"testing"
)

// A hash that makes the library panic must not end the process: net/http recovers a panic of
// the goroutine that answers a request, and of no other.
func TestAPanicInTheBackgroundIsTheCallers(t *testing.T) {
	ran := false
	inBackground(func() { ran = true })
	if !ran {
		t.Error("nothing ran")
	}
	defer func() {
		if r := fmt.Sprint(recover()); r != "damaged" {
			t.Errorf("recovered %s", r)
		}
	}()
	inBackground(func() { panic("damaged") })
	t.Error("the panic was lost")
}
