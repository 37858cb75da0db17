// Command happy-bandit is a stateless web application: one page that names the
// side that served it.
//
// Environment: SIDE (what the page and X-Side say), PORT (8080), and PEERS_SELECTOR,
// POD_NAMESPACE and POD_IP where it has other replicas.
package main

import (
	"context"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/crossfade-project/crossfade/examples/demo/internal/web"
)

const (
	name    = "happy-bandit"
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
	peers, err := web.PeersFromEnv(getenv)
	if err != nil {
		return err
	}
	side := getenv("SIDE")
	app := web.New(web.Options{Name: name, Side: side, Version: version, Peers: peers, Logger: logger})
	return app.ListenAndServe(ctx, getenv, app.Handler(pages(side)))
}

// pages is the application itself.
func pages(side string) http.Handler {
	mux := http.NewServeMux()
	body := fmt.Appendf(nil, "<!doctype html>\n<title>happy-bandit</title>\n<p>happy-bandit %s on %s\n", version, html.EscapeString(side))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(body) // a client that left is not an error of ours
	})
	return mux
}
