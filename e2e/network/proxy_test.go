package network

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each mode does to a connection what it says, to one that is there and to a new one, and passing mends it.
func TestAProxyCutsAsItsModeSays(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 4*slowChunk))
	}))
	defer server.Close()
	p, err := NewProxy(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{}}
	ask := func(fresh bool) (time.Duration, error) {
		if fresh {
			client.CloseIdleConnections()
		}
		began := time.Now()
		resp, err := client.Get("http://" + p.Addr())
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		return time.Since(began), err
	}
	for _, mode := range Modes() {
		for _, fresh := range []bool{false, true} {
			if _, err := ask(false); err != nil {
				t.Fatalf("before %s: %v", mode, err)
			}
			if err := p.Set(mode); err != nil {
				t.Fatal(err)
			}
			took, err := ask(fresh)
			switch mode {
			case Dropped, Stalled:
				if !os.IsTimeout(err) {
					t.Errorf("%s, fresh %t: %v", mode, fresh, err)
				}
			case Reset:
				if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
					t.Errorf("%s, fresh %t: %v", mode, fresh, err)
				}
			case Slow:
				if err != nil || took < 4*slowPause {
					t.Errorf("%s, fresh %t: %s, %v", mode, fresh, took, err)
				}
			}
			if err := p.Set(Passing); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p.Met() == 0 {
		t.Error("nobody felt the cuts")
	}
}

func TestADroppedConnectionIsNeitherAcceptedNorRefused(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the queue of a listener is Linux's")
	}
	p, err := NewProxy("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := p.Set(Dropped); err != nil {
		t.Fatal(err)
	}
	if c, err := net.DialTimeout("tcp4", p.Addr(), 300*time.Millisecond); !os.IsTimeout(err) {
		if err == nil {
			_ = c.Close()
		}
		t.Errorf("dialling gave %v", err)
	}
}
