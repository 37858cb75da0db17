// Command shop is a web application with data: it keeps one object an item in a
// bucket, and can be made read-only while the bucket is moved.
//
//	GET  /                 a page: the side, the mode
//	GET  /items/KEY        the item
//	GET  /items?prefix=P   names of items, at most limit=N (100) of them
//	PUT  /items/KEY        201 once the store keeps it; 503 in read-only mode
//	GET  /admin/mode       the mode and what became of writes, over all replicas
//	POST /admin/read-only  answers when no replica will write any more
//	POST /admin/read-write
//
// A replica that starts takes over the mode that the others were told; to keep a
// freeze over a start of all replicas at once, set READ_ONLY too.
//
// Environment: STORE_URL, STORE_ACCESS_KEY, STORE_SECRET_KEY (see package store),
// READ_ONLY (true: start so), SIDE, PORT (8080), and PEERS_SELECTOR, POD_NAMESPACE
// and POD_IP where it has other replicas.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/crossfade-project/crossfade/examples/demo/internal/store"
	"github.com/crossfade-project/crossfade/examples/demo/internal/web"
)

const (
	name    = "shop"
	version = "1"
)

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(logger, os.Getenv); err != nil {
		logger.Error("stopped with an error", "error", err)
		os.Exit(1)
	}
}

func run(logger *slog.Logger, getenv func(string) string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	readOnly, err := readOnlyFromEnv(getenv)
	if err != nil {
		return err
	}
	items, err := store.Open(store.FromEnv(getenv))
	if err != nil {
		return err
	}
	peers, err := web.PeersFromEnv(getenv)
	if err != nil {
		return err
	}
	app := web.New(web.Options{Name: name, Side: getenv("SIDE"), Version: version, Peers: peers, Logger: logger})
	s := newShop(shopOptions{App: app, Side: getenv("SIDE"), Items: items, ReadOnly: readOnly})
	if err := s.adopt(ctx); err != nil {
		logger.Warn("starting as configured", "readOnly", readOnly, "error", err)
	}
	return app.ListenAndServe(ctx, getenv, app.Handler(s.routes()))
}

// readOnlyFromEnv refuses what it cannot read: a shop that was meant to be
// read-only and writes would lose what it wrote.
func readOnlyFromEnv(getenv func(string) string) (bool, error) {
	text := getenv("READ_ONLY")
	if text == "" {
		return false, nil
	}
	readOnly, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("READ_ONLY is %q; want true or false", text)
	}
	return readOnly, nil
}
