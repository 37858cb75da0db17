package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/e2e/rig/record"
)

// Kind is a store's program.
type Kind string

// The stores.
const (
	VersityGW Kind = "versitygw"
	MinIO     Kind = "minio"
	Azurite   Kind = "azurite"
	FakeGCS   Kind = "fake-gcs-server"
)

// Options say where a store runs. Only Dir is needed.
type Options struct {
	// Address is where it listens, host:port; empty is a free port of loopback. The host is an address that others reach
	// it at, since it becomes the endpoint's.
	Address string
	// Dir gets data and log. It is made where it is missing.
	Dir string
	// Log gets a line before what takes long. Nil is silent.
	Log *slog.Logger
	// AccessKey and SecretKey are made at random where they are empty. Azurite's secret is base64, its access key an
	// account's name; fake-gcs-server asks for none.
	AccessKey, SecretKey string
	// Env is more of the server's environment, KEY=VALUE.
	Env []string
	// Record, if set, remembers the process while it runs.
	Record *record.Log
}

// Server is a store that runs.
type Server struct {
	Kind      Kind
	Endpoint  string // URL without a path: http://127.0.0.1:7070
	AccessKey string // the account's name at Azurite
	SecretKey string // the account's key at Azurite
	Region    string // of S3
	process   *process.Process
}

// startLimit bounds the wait for a store, on a machine that is busy with something else as well.
const startLimit = 3 * time.Minute

// Install installs the programs of stores, which Start does otherwise.
func Install(ctx context.Context, in *install.Installer, kinds ...Kind) error {
	for _, kind := range kinds {
		if _, err := programs()[kind].install(ctx, in); err != nil {
			return fmt.Errorf("install store %s: %w", kind, err)
		}
	}
	return nil
}

// Start installs the store's program where it is not there yet, starts it, and waits until it answers.
func Start(ctx context.Context, kind Kind, opts Options) (*Server, error) {
	s, err := start(ctx, kind, opts)
	if err != nil {
		return nil, fmt.Errorf("start store %s: %w", kind, err)
	}
	return s, nil
}

func start(ctx context.Context, kind Kind, opts Options) (*Server, error) {
	p, ok := programs()[kind]
	if !ok {
		return nil, errors.New("no such store")
	}
	if opts.Dir == "" {
		return nil, errors.New("no directory is given")
	}
	if opts.Address == "" {
		address, err := freeAddress(ctx)
		if err != nil {
			return nil, err
		}
		opts.Address = address
	}
	host, port, err := net.SplitHostPort(opts.Address)
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	s := &Server{Kind: kind, Endpoint: "http://" + opts.Address, AccessKey: opts.AccessKey, SecretKey: opts.SecretKey, Region: "us-east-1"}
	if s.AccessKey == "" {
		s.AccessKey = "RIGACCESSKEY"
	}
	if s.SecretKey == "" {
		s.SecretKey = base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	}
	installer, err := install.New(opts.Log)
	if err != nil {
		return nil, err
	}
	argv, err := p.install(ctx, installer)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(opts.Dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	args, env := p.configure(s, place{host: host, port: port, data: data})
	env = append(env, opts.Env...)
	s.process, err = process.Start(process.Options{
		Name: string(kind), Args: append(argv, args...), Dir: opts.Dir, Env: env,
		Log: filepath.Join(opts.Dir, string(kind)+".log"), Record: opts.Record,
	})
	if err != nil {
		return nil, err
	}
	ready := func(ctx context.Context) error { return answers(ctx, s.Endpoint+p.health, p.healthStatus) }
	if err := process.WaitUntil(ctx, startLimit, ready, s.process); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// Stop ends the store and waits for it.
func (s *Server) Stop(ctx context.Context) error {
	return s.process.Stop(ctx, 5*time.Second)
}

// answers asks for an address; status 0 takes any answer.
func answers(ctx context.Context, url string, status int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// A proxy of the machine's environment is not asked, and no connection stays.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20))
	if err == nil && status != 0 && answer.StatusCode != status {
		err = fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return errors.Join(err, answer.Body.Close())
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
