package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/e2e/load"
)

// names answers every name with 127.0.0.1.
func names(t *testing.T) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	server := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(query)
		reply.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1},
			A:   net.IPv4(127, 0, 0, 1),
		}}
		_ = w.WriteMsg(reply)
	})}
	go func() { _ = server.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() { _ = server.Shutdown() })
	return packets.LocalAddr().String()
}

// shop keeps what is written; forget makes it lose that.
type shop struct {
	mu     sync.Mutex
	items  map[string][]byte
	forget bool
	enough func() // called after each write
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("X-Side", "blue")
	if r.Method == http.MethodPut {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.items[r.URL.Path] = body
		w.WriteHeader(http.StatusCreated)
		s.enough()
		return
	}
	body, found := s.items[r.URL.Path]
	if found && s.forget && r.Header.Get("X-Crossfade-Probe") != "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if !found {
		body = []byte("shop on blue")
	}
	_, _ = w.Write(body)
}

func TestLoadWritesItsReportWhenItIsStopped(t *testing.T) {
	for _, forget := range []bool{false, true} {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		s := &shop{items: map[string][]byte{}, forget: forget, enough: stop}
		server := httptest.NewServer(s)
		defer server.Close()
		_, port, err := net.SplitHostPort(server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "load.json")
		var stdout strings.Builder
		failed, err := run(ctx, []string{
			"-resolver", names(t), "-target", "shop.apps.test,port=" + port + ",expect=shop,reads=50,writes=50",
			"-verify", "shop.apps.test=" + server.URL, "-duration", "1m", "-report", file,
		}, &stdout, io.Discard)
		if err != nil || failed != forget {
			t.Errorf("forget %v: run = %v, %v (%s)", forget, failed, err, stdout.String())
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var report load.Report
		if err := json.Unmarshal(content, &report); err != nil {
			t.Fatal(err)
		}
		if report.Totals.Writes == 0 || report.Totals.Failed() != 0 || report.Verification == nil || report.Verification.Checked != report.Totals.Writes {
			t.Errorf("report = %+v, verification %+v", report.Totals, report.Verification)
		}
		if !strings.HasPrefix(stdout.String(), "load: ") || strings.Count(stdout.String(), "\n") != 1 {
			t.Errorf("stdout = %q, want one line", stdout.String())
		}
	}
}

func TestFlagsThatAreRefused(t *testing.T) {
	target := "shop.apps.test,reads=1,writes=1"
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"-resolver is missing", []string{"-target", target}},
		{"no targets", []string{"-resolver", "127.0.0.1:53"}},
		{"at most 1h", []string{"-resolver", "127.0.0.1:53", "-target", target, "-duration", "2h"}},
		{"unknown argument", []string{"-resolver", "127.0.0.1:53", "-target", target, "now"}},
		{`field "speed=9"`, []string{"-resolver", "127.0.0.1:53", "-target", "shop.apps.test,speed=9"}},
		{`field "reads=x"`, []string{"-resolver", "127.0.0.1:53", "-target", "shop.apps.test,reads=x"}},
		{"HOST=http", []string{"-resolver", "127.0.0.1:53", "-target", target, "-verify", "shop.apps.test"}},
		{"no -target of that name has writes", []string{"-resolver", "127.0.0.1:53", "-target", target, "-verify", "shopp.apps.test=http://127.0.0.1"}},
	} {
		_, err := run(t.Context(), tt.args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want an error with %q", tt.args, err, tt.want)
		}
	}
}

func TestNothingAskedIsNothingProven(t *testing.T) {
	var stdout strings.Builder
	if failed, err := printSummary(&stdout, load.Report{}); err != nil || !failed {
		t.Errorf("summary of an empty report = %v, %v; want failed", failed, err)
	}
}
