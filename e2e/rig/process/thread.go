package process

import "runtime"

// OnThread calls f on a thread of its own, which ends with f, and waits for f. So f may move its thread into other
// namespaces. It never runs on the process's first thread: that one cannot end, and what the kernel shows as the
// process's namespaces are its.
func OnThread(f func() error) error {
	done := make(chan error, 1)
	go lockedGoroutine(func() { done <- f() })
	return <-done
}

// lockedGoroutine calls f on a thread that nothing else uses before or after.
func lockedGoroutine(f func()) {
	runtime.LockOSThread() // never unlocked where f runs: the thread ends with this goroutine
	if !onFirstThread() {
		f()
		return
	}
	// While this goroutine holds the first thread, the next one gets another.
	locked := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(locked)
		f()
	}()
	<-locked
	runtime.UnlockOSThread()
}
