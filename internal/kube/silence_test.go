package kube

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/crossfade-project/crossfade/internal/silence"
)

// mute accepts connections and says nothing.
func mute(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return "http://" + l.Addr().String()
}

// Requests of every kind end when the API server hangs, the discovery's too, which the library lets nobody cancel.
func TestAnAPIServerThatHangsEndsInAnErrorThatSaysSo(t *testing.T) {
	c, err := connect(&rest.Config{Host: mute(t)}, silence.Limit{For: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for what, ask := range map[string]func() error{
		"identity":  func() error { _, err := c.Identity(ctx); return err },
		"version":   func() error { _, err := c.Version(ctx); return err },
		"discovery": func() error { _, _, err := c.Resources(ctx); return err },
	} {
		var silent *silence.Error
		if err := ask(); !errors.As(err, &silent) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestADiscoveryThatHangsEndsWithItsContext(t *testing.T) {
	c, err := connect(&rest.Config{Host: mute(t)}, silence.Limit{For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := c.Resources(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
}
