package direct

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/silence"
)

// echo answers with what it is sent, in the way that the path asks for, and counts its connections.
func echo(t *testing.T, start func(*httptest.Server)) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		switch r.URL.Path {
		case "/chunked":
			_, _ = w.Write(sent)
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(sent)
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = w.Write(sent)
		case "/short":
			w.Header().Set("Content-Length", strconv.Itoa(len(sent)+1))
			_, _ = w.Write(sent)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/nothing":
			w.WriteHeader(http.StatusNoContent)
		case "/last":
			w.Header().Set("Connection", "close")
			_, _ = w.Write(sent)
		case "/hang":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			_, _ = w.Write(sent)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	start(server)
	t.Cleanup(server.Close)
	return server, &connections
}

func plain(s *httptest.Server) { s.Start() }

func send(ctx context.Context, transport http.RoundTripper, url, text string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(text))
	if err != nil {
		return "", err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(answer.Body)
	return string(got), errors.Join(err, answer.Body.Close())
}

func transportTo(server *httptest.Server) *Transport {
	t := &Transport{Dial: silence.Limit{For: 10 * time.Second}.Dial(), Otherwise: http.DefaultTransport}
	if server.TLS != nil {
		t.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
	}
	return t
}

func TestRequestsShareAConnection(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"plain": plain, "TLS": (*httptest.Server).StartTLS} {
		server, connections := echo(t, start)
		transport := transportTo(server)
		for path, want := range map[string]string{"/": "text", "/chunked": "texttext", "/early": "text", "/nothing": ""} {
			if got, err := send(t.Context(), transport, server.URL+path, "text"); err != nil || got != want {
				t.Errorf("%s: %s answers %q: %v", name, path, got, err)
			}
		}
		if connections.Load() != 1 {
			t.Errorf("%s: %d connections for requests one after the other", name, connections.Load())
		}
	}
}

// The TLS settings of a transport of net/http offer HTTP/2, which this one does not speak.
func TestHTTP2IsNotOffered(t *testing.T) {
	server, _ := echo(t, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	})
	transport := transportTo(server)
	transport.TLS = transport.TLS.Clone()
	transport.TLS.NextProtos = []string{"h2", "http/1.1"}
	if got, err := send(t.Context(), transport, server.URL, "text"); err != nil || got != "text" {
		t.Errorf("answers %q: %v", got, err)
	}
}

func TestEveryRequestGetsItsOwnAnswer(t *testing.T) {
	server, connections := echo(t, plain)
	transport := transportTo(server)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 100 {
				want := strings.Repeat(fmt.Sprintf("%d-%d ", worker, i), 1+i*50)
				if got, err := send(t.Context(), transport, server.URL, want); err != nil || got != want {
					t.Errorf("%d bytes come back for %d: %v", len(got), len(want), err)
					return
				}
			}
		})
	}
	group.Wait()
	if connections.Load() > 8 {
		t.Errorf("%d connections for 8 at once", connections.Load())
	}
}

func TestAConnectionThatIsNotAtItsEndIsNotUsedAgain(t *testing.T) {
	server, connections := echo(t, plain)
	transport := transportTo(server)
	if _, err := send(t.Context(), transport, server.URL+"/short", "text"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an answer that breaks off is read as %v", err)
	}
	if got, err := send(t.Context(), transport, server.URL+"/last", "text"); err != nil || got != "text" {
		t.Errorf("%q: %v", got, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := send(t.Context(), transport, server.URL, "text"); err != nil || got != "text" {
		t.Errorf("%q: %v", got, err)
	}
	if connections.Load() != 4 {
		t.Errorf("%d connections, want one for each", connections.Load())
	}
}

func TestAServerThatClosedAConnectionMeanwhileIsAskedOnAnother(t *testing.T) {
	server, _ := echo(t, plain)
	transport := transportTo(server)
	for range 3 {
		if got, err := send(t.Context(), transport, server.URL, "text"); err != nil || got != "text" {
			t.Fatalf("%q: %v", got, err)
		}
		server.CloseClientConnections()
	}
}

func TestTheContextEndsARequest(t *testing.T) {
	server, _ := echo(t, plain)
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/hang", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transportTo(server).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(answer.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("reading ends with %v", err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := send(ctx, transportTo(server), server.URL, "text"); !errors.Is(err, context.Canceled) {
		t.Errorf("a request after its context's end gives %v", err)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 4<<10)) }))
	b.Cleanup(server.Close)
	for name, transport := range map[string]http.RoundTripper{"direct": transportTo(server), "net-http": http.DefaultTransport} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := send(b.Context(), transport, server.URL, "text"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
