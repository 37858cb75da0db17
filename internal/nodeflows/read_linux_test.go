package nodeflows_test

import (
	"net"
	"os"
	"testing"

	"github.com/crossfade-project/crossfade/internal/nodeflows"
)

// A kernel tracks the loopback only where some rule asks for it, so this reads and demands no flow.
func TestReadTheKernelsTable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("connection tracking is read by root only")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	flows, err := nodeflows.Read()
	if err != nil {
		t.Skipf("this kernel has no connection tracking: %v", err)
	}
	for _, f := range flows {
		if !f.Source.IsValid() || !f.Destination.IsValid() || f.Protocol == "" {
			t.Errorf("flow without ends: %+v", f)
		}
	}
}
