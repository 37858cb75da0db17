package standin

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Web plays the web servers of an application on both sides, at an address each and one port. It is talkative: every answer
// repeats what was asked and by whom, as programs do that nobody has told to be discreet.
type Web struct {
	Port int
	At   map[string]string // the address of a side
	// Behind plays what stands behind blue's address, where it is set: who answers a request, or "" where it is broken off.
	Behind  func(in *http.Request) (side string)
	servers []*http.Server
	group   sync.WaitGroup

	mu     sync.Mutex
	status map[string]int // that a side answers with
	left   map[string]int // requests until it answers 500 instead
}

// pairs counts the pairs of addresses that were given away.
var pairs atomic.Uint32

// NewWeb starts both, which Close ends. Each pair has addresses of its own: what leads to one blue must not be taken for leading to
// another.
func NewWeb() (*Web, error) {
	n := 2 * (pairs.Add(1) - 1)
	at := func(n uint32) string { return fmt.Sprintf("127.%d.%d.%d", 16+n>>14, n>>7&127, 2+n&127) }
	w := &Web{At: map[string]string{"blue": at(n), "green": at(n + 1)}, status: map[string]int{"blue": 200, "green": 200}, left: map[string]int{}}
	for try := 0; ; try++ {
		blue, err := net.Listen("tcp4", w.At["blue"]+":0")
		if err != nil {
			return nil, err
		}
		w.Port = blue.Addr().(*net.TCPAddr).Port
		green, err := net.Listen("tcp4", net.JoinHostPort(w.At["green"], strconv.Itoa(w.Port)))
		if err == nil {
			w.play("blue", blue)
			w.play("green", green)
			return w, nil
		}
		if err = errors.Join(err, blue.Close()); try == 20 {
			return nil, err
		}
	}
}

func (w *Web) play(side string, l net.Listener) {
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		side := side
		if side == "blue" && w.Behind != nil {
			if side = w.Behind(in); side == "" {
				panic(http.ErrAbortHandler)
			}
		}
		w.mu.Lock()
		status := w.status[side]
		if n, limited := w.left[side]; limited {
			w.left[side] = n - 1
			if n <= 0 {
				status = http.StatusInternalServerError
			}
		}
		w.mu.Unlock()
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		out.WriteHeader(status)
		_, _ = fmt.Fprintf(out, "hello from %s\n%s, %s\n", side, in.RequestURI, in.Header.Get("Authorization"))
		_, _ = io.Copy(out, io.LimitReader(in.Body, 1<<20))
	})}
	w.servers = append(w.servers, server)
	w.group.Go(func() { _ = server.Serve(l) })
}

// Close ends both.
func (w *Web) Close() {
	for _, s := range w.servers {
		_ = s.Close()
	}
	w.group.Wait()
}

// Answer sets the status that a side answers with; with requests above zero, only for that many, and 500 then.
func (w *Web) Answer(side string, status, requests int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status[side] = status
	delete(w.left, side)
	if requests > 0 {
		w.left[side] = requests
	}
}
