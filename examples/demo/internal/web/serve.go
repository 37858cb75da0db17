package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	// lingerTime is how long a replica that was told to stop goes on serving:
	// kube-proxy on every node hears of it later than the replica does.
	lingerTime = 3 * time.Second
	// finishTime bounds the wait for requests under way after that.
	finishTime = 5 * time.Second
)

// port is the one that PORT names, or 8080.
func port(getenv func(string) string) string {
	if p := getenv("PORT"); p != "" {
		return p
	}
	return "8080"
}

// ListenAndServe serves handler on PORT (8080) until ctx ends, then goes on for
// a few seconds with each answer asking its client to connect again, and returns
// when the requests under way are finished.
func (a *App) ListenAndServe(ctx context.Context, getenv func(string) string, handler http.Handler) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("", port(getenv)))
	if err != nil {
		return fmt.Errorf("listen for %s: %w", a.name, err)
	}
	a.logger.Info("serving", "application", a.name, "side", a.side, "version", a.version, "address", listener.Addr().String())
	return a.serve(ctx, listener, handler, lingerTime)
}

func (a *App) serve(ctx context.Context, listener net.Listener, handler http.Handler, linger time.Duration) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		// Long: a client that keeps its connection loses it by a drain, in good
		// order, and not by this clock.
		IdleTimeout: time.Hour,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", a.name, err)
	case <-ctx.Done():
	}
	a.draining.Store(true)
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", a.name, err)
	case <-timer.C:
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	if err := server.Shutdown(finish); err != nil {
		return fmt.Errorf("stop %s: %w", a.name, err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("stop %s: %w", a.name, err)
	}
	a.logger.Info("stopped", "application", a.name)
	return nil
}
