package directory

import (
	"runtime"
	"syscall"
)

// niceness is how far work in the background gives way to the rest of the process: it still
// gets a third of what a thread of usual priority gets where both want the CPU.
const niceness = 5

// inBackground runs do on a thread of its own that gives way to the other threads of the
// process: a password takes some 40 ms of CPU, and requests that take less than one should not
// wait for it. A thread cannot get its priority back, so it ends with do. A panic of do is one
// of the caller.
func inBackground(do func()) {
	done := make(chan any, 1)
	go func() {
		var panicked any = "the goroutine has ended"
		defer func() {
			if r := recover(); r != nil {
				panicked = r
			}
			done <- panicked
		}()
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		// Without the right to do so, the thread works as any other.
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), niceness)
		do()
		panicked = nil
	}()
	if panicked := <-done; panicked != nil {
		panic(panicked)
	}
}
