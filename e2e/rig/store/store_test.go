package store_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

func TestStoresStartAnswerAndStop(t *testing.T) {
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	for _, kind := range []store.Kind{store.VersityGW, store.MinIO, store.Azurite, store.FakeGCS} {
		t.Run(string(kind), func(t *testing.T) {
			s, err := store.Start(t.Context(), kind, store.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			})
			answer, err := http.Get(s.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, answer.Body); err != nil {
				t.Error(err)
			}
			if err := answer.Body.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := http.Get(s.Endpoint); err == nil {
				t.Error("the store answers after it was stopped")
			}
		})
	}
}
