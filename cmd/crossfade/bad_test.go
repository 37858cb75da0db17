package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
)

// The commands of this file make what no healthy world has: servers that are silent, late or deny, and files that somebody
// cut, forged or packed with ill intent.

// cmdDropping opens a port whose packets are dropped, as by a firewall that says nothing, and sets a variable to its
// address: dropping NAME. Its queue of one is full, and nobody takes from it.
func cmdDropping(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	ts.Check(err)
	var lerr error
	ts.Check(raw.Control(func(fd uintptr) { lerr = syscall.Listen(int(fd), 0) }))
	ts.Check(lerr)
	for range 64 {
		c, err := net.DialTimeout("tcp4", l.Addr().String(), 500*time.Millisecond)
		if err != nil {
			ts.Setenv(args[0], l.Addr().String())
			return
		}
		ts.Defer(func() { _ = c.Close() })
	}
	ts.Fatalf("the port takes connections for ever")
}

// cmdNobody writes a kubeconfig of a user who may do nothing: nobody FROM TO.
func cmdNobody(ts *testscript.TestScript, _ bool, args []string) {
	from := os.Expand(args[0], ts.Getenv)
	kubectl := func(args ...string) string {
		ts.Check(ts.Exec(ts.Getenv("KUBECTL"), append([]string{"--kubeconfig=" + from, "--namespace=" + ts.Getenv("NS"), "--cache-dir=" + ts.MkAbs(".kube-cache")}, args...)...))
		return strings.TrimSpace(ts.ReadFile("stdout"))
	}
	kubectl("create", "serviceaccount", "nobody")
	config, err := clientcmd.LoadFromFile(from)
	ts.Check(err)
	config.AuthInfos["nobody"] = &clientcmdapi.AuthInfo{Token: kubectl("create", "token", "nobody")}
	for _, c := range config.Contexts {
		c.AuthInfo = "nobody"
	}
	ts.Check(clientcmd.WriteToFile(*config, ts.MkAbs(args[1])))
}

// cmdTakes demands that a program ends within a time, with an exit code: takes 40s 3 crossfade plan.
func cmdTakes(ts *testscript.TestScript, neg bool, args []string) {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	began := time.Now()
	cmdExits(ts, neg, args[1:])
	if took := time.Since(began); took > limit {
		ts.Fatalf("it took %s, more than %s", took, limit)
	}
}

// cmdCut takes bytes off the end of a file: cut FILE 3, or half of it: cut FILE half.
func cmdCut(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	ts.Check(err)
	size := info.Size() / 2
	if args[1] != "half" {
		n, err := strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
		size = info.Size() - n
	}
	ts.Check(os.Truncate(path, size))
}

// cmdForge appends a record to the journal as a version of crossfade with another format would, with the right hash: forge
// FORMAT KIND.
func cmdForge(ts *testscript.TestScript, _ bool, args []string) {
	raw, err := os.ReadFile(journalOf(ts))
	ts.Check(err)
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	var last struct {
		Hash string `json:"hash"`
	}
	ts.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	record := fmt.Sprintf(`{"format":%s,"seq":%d,"time":"2031-01-01T00:00:00Z","kind":%q}`, args[0], len(lines)+1, args[1])
	sum := sha256.Sum256([]byte(last.Hash + record))
	line := fmt.Sprintf("{\"hash\":%q,\"record\":%s}\n", hex.EncodeToString(sum[:]), record)
	ts.Check(os.WriteFile(journalOf(ts), append(raw, line...), 0o600))
}

// cmdPack writes a .tar.zst with one member: pack FILE NAME CONTENT, or pack FILE NAME -> TARGET for a link.
func cmdPack(ts *testscript.TestScript, _ bool, args []string) {
	header := &tar.Header{Name: args[1], Typeflag: tar.TypeReg, Mode: 0o600}
	content := args[2]
	if content == "->" {
		header.Typeflag, header.Linkname, content = tar.TypeSymlink, args[3], ""
	}
	header.Size = int64(len(content))
	var out bytes.Buffer
	zw, err := zstd.NewWriter(&out)
	ts.Check(err)
	tw := tar.NewWriter(zw)
	ts.Check(tw.WriteHeader(header))
	_, err = io.WriteString(tw, content)
	ts.Check(errors.Join(err, tw.Close(), zw.Close()))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o600))
}

// cmdDenyUpdates starts a BIND with a zone of its own that takes no updates, and sets a variable to its address:
// deny-updates NAME ZONE RECORD….
func cmdDenyUpdates(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	addr, err := netip.ParseAddrPort(l.Addr().String())
	ts.Check(errors.Join(err, l.Close()))
	server, err := nameserver.Start(context.Background(), nameserver.Spec{
		Software: nameserver.BIND, Name: "deny", Dir: ts.MkAbs("deny"), Place: nameserver.Place{Addr: addr},
		Key:   nameserver.Key{Name: "crossfade.", Algorithm: "hmac-sha256", Secret: ts.Getenv("TSIG")},
		Zones: []nameserver.Zone{{Apex: args[1], Records: append([]string{"@ NS ns1", "ns1 A 127.0.0.1"}, args[2:]...)}},
	})
	ts.Check(err)
	ts.Defer(func() { _ = server.Stop(context.Background()) })
	ts.Setenv(args[0], addr.String())
}

// cmdPromQL starts a fake Prometheus, not a real one, which refuses every query whose brackets do not match, in the words of the
// real one's HTTP API, and gives a 0 for all others: promql NAME.
func cmdPromQL(ts *testscript.TestScript, _ bool, args []string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		if strings.Count(query, "(") != strings.Count(query, ")") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": parse error: unclosed left parenthesis"}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"scalar","result":[%d,"0"]}}`, time.Now().Unix())
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

// cmdLateDNS starts a fake name server, not a real one, and sets a variable to its address: it passes questions on to the
// primary, and says of every signed message that its time is bad, since its own clock is an hour ahead: late-dns NAME.
func cmdLateDNS(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	primary, err := netip.ParseAddrPort(ts.Getenv("PRIMARY"))
	ts.Check(err)
	started := make(chan struct{})
	server := &dns.Server{
		Listener: l, TsigSecret: map[string]string{"crossfade.": ts.Getenv("TSIG")}, NotifyStartedFunc: func() { close(started) },
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
		Handler:       dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) { playLate(w, r, primary.String()) }),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	ts.Defer(func() {
		_ = server.Shutdown()
		<-ended
	})
	ts.Setenv(args[0], l.Addr().String())
}

func playLate(w dns.ResponseWriter, r *dns.Msg, primary string) {
	sig := r.IsTsig()
	if sig == nil {
		if reply, _, err := (&dns.Client{Net: "tcp"}).Exchange(r, primary); err == nil {
			_ = w.WriteMsg(reply)
		}
		return
	}
	m := new(dns.Msg)
	m.SetRcode(r, dns.RcodeNotAuth)
	m.SetTsig(sig.Hdr.Name, sig.Algorithm, sig.Fudge, int64(sig.TimeSigned))
	answer := m.IsTsig()
	answer.Error = dns.RcodeBadTime
	answer.OtherLen, answer.OtherData = 6, fmt.Sprintf("%012x", sig.TimeSigned+3600)
	_ = w.WriteMsg(m)
}

// cmdLimited runs a program whose files may not grow over a size, as on a disk that is full: limited BYTES CODE PROGRAM….
func cmdLimited(ts *testscript.TestScript, neg bool, args []string) {
	blocks, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	path := filepath.Join(ts.MkAbs("."), ".limited.sh")
	// A shell counts in blocks of 512 bytes (POSIX); the signal is ignored, so that a write fails as on a full disk.
	script := fmt.Sprintf("#!/bin/sh\ntrap '' XFSZ\nulimit -f %d\nexec \"$@\"\n", blocks/512)
	ts.Check(os.WriteFile(path, []byte(script), 0o700))
	cmdExits(ts, neg, append([]string{args[1], "sh", path}, args[2:]...))
}
