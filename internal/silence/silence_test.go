package silence

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const limit = 2 * time.Second

func client(l Limit) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: l.Dial()}}
}

func serve(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

func TestASilentServerEndsInAnErrorThatNamesIt(t *testing.T) {
	over := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
	})
	defer close(over)
	var told atomic.Int32
	resp, err := client(Limit{For: limit, Notice: func(address string, silent, of time.Duration) {
		if strings.Contains(url, address) && silent >= limit/3 && of == limit {
			told.Add(1)
		}
	}}).Get(url)
	if err == nil {
		_ = resp.Body.Close()
	}
	var silent *Error
	var network net.Error
	if !errors.As(err, &silent) || !errors.As(err, &network) || !network.Timeout() || !strings.Contains(url, silent.Address) {
		t.Errorf("the error is %v", err)
	}
	if told.Load() == 0 {
		t.Error("nobody was told before the limit")
	}
}

func TestATransferThatGoesOnMayTakeLonger(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 6 {
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(limit / 4)
		}
	})
	resp, err := client(Limit{For: limit}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || string(body) != "xxxxxx" {
		t.Errorf("%q, %v", body, err)
	}
}

// slowly is a body that takes longer than the limit to send, and never stops for that long.
type slowly struct{ left int }

func (s *slowly) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	s.left--
	time.Sleep(limit / 4)
	return copy(p, strings.Repeat("y", 4096)), nil
}

func TestARequestThatIsStillBeingSentIsNoSilence(t *testing.T) {
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	resp, err := client(Limit{For: limit}).Post(url, "text/plain", &slowly{left: 8})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

func TestABodyThatStallsEnds(t *testing.T) {
	over := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		select {
		case <-over:
		case <-r.Context().Done():
		}
	})
	defer close(over)
	resp, err := client(Limit{For: limit}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	var silent *Error
	if !errors.As(err, &silent) {
		t.Errorf("the error is %v", err)
	}
}

func TestAnIdleConnectionTellsNobody(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	var told atomic.Int32
	c := client(Limit{For: limit, Notice: func(string, time.Duration, time.Duration) { told.Add(1) }})
	for range 2 {
		resp, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		before := told.Load() // a busy machine may have been silent to the request itself
		time.Sleep(2 * limit) // the connection is closed meanwhile, and the next request makes another
		if n := told.Load() - before; n != 0 {
			t.Errorf("%d notices of an idle connection", n)
		}
	}
}

// late is a connection whose Write returns only when the answer to it was read.
type late struct {
	net.Conn
	read chan struct{}
}

func (l *late) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	<-l.read
	return n, err
}

func TestAnAnswerBeforeTheWriteReturnedEndsTheWait(t *testing.T) {
	near, far := net.Pipe()
	read := make(chan struct{})
	c := &conn{Conn: &late{Conn: near, read: read}, limit: 300 * time.Millisecond, address: "far", notice: func(string, time.Duration, time.Duration) {
		t.Error("somebody was told that an answer is awaited, and it had come")
	}}
	go func() {
		got := make([]byte, smallest)
		_, _ = io.ReadFull(far, got)
		_, _ = far.Write([]byte("answer"))
	}()
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, smallest))
		wrote <- err
	}()
	if _, err := c.Read(make([]byte, smallest)); err != nil {
		t.Fatal(err)
	}
	close(read)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	var silent *Error
	if _, err := c.Read(make([]byte, smallest)); !errors.As(err, &silent) {
		t.Errorf("the error is %v", err)
	}
}

func TestTheCallersOwnEndIsNoSilence(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Limit{For: time.Minute}.Dial()(ctx, "tcp", "127.0.0.1:1")
	var silent *Error
	if err == nil || errors.As(err, &silent) {
		t.Errorf("the error is %v", err)
	}
}
