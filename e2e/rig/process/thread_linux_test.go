package process_test

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/crossfade-project/crossfade/e2e/rig/process"
)

func TestOnThreadNeverUsesTheFirstThread(t *testing.T) {
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			err := process.OnThread(func() error {
				if syscall.Gettid() == os.Getpid() {
					return errors.New("this is the process's first thread")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
