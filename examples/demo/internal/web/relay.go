package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// relayLimit bounds a call to another replica. It is longer than the slowest
// freeze: one that waits for writes under way.
const relayLimit = 40 * time.Second

// Peers knows the other replicas of an application.
//
// Others returns the base URL (http://host:port) of every other replica that may
// still be serving, those that are about to stop among them: a replica left out
// would go on writing after a freeze was confirmed. An error means "not known".
type Peers interface {
	Others(ctx context.Context) ([]string, error)
}

type relay struct {
	peers  Peers
	client *http.Client
}

// Tell repeats r at every other replica and returns how many there are. It is
// an error if one of them did not do it. A request that comes from a replica
// goes no further.
func (a *App) Tell(r *http.Request) (int, error) {
	bodies, err := a.relay.repeat(r)
	return len(bodies), err
}

// Ask is Tell for requests that are answered with a T.
func Ask[T any](a *App, r *http.Request) ([]T, error) {
	bodies, err := a.relay.repeat(r)
	if err != nil {
		return nil, err
	}
	answers := make([]T, len(bodies))
	for i, body := range bodies {
		if err := json.Unmarshal(body, &answers[i]); err != nil {
			return nil, fmt.Errorf("read a replica's answer to %s: %w", r.URL.Path, err)
		}
	}
	return answers, nil
}

// repeat asks all at once: the answer takes as long as the slowest replica.
func (l relay) repeat(r *http.Request) ([][]byte, error) {
	// Whoever asks each pod by itself adds ?replica=this, or would count them all
	// as often as there are pods.
	if l.peers == nil || r.Header.Get(headerRelayed) != "" || r.URL.Query().Get("replica") == "this" {
		return nil, nil
	}
	ctx, method, path := r.Context(), r.Method, r.URL.Path
	others, err := l.peers.Others(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the other replicas: %w", err)
	}
	bodies, failures := make([][]byte, len(others)), make([]error, len(others))
	var all sync.WaitGroup
	for i, base := range others {
		all.Go(func() {
			bodies[i], failures[i] = l.call(ctx, method, base+path)
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	return bodies, nil
}

func (l relay) call(ctx context.Context, method, url string) (body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask replica %s: %w", url, err)
	}
	request.Header.Set(headerRelayed, "true")
	// A replica may stop at any time: no connection is kept for the next call.
	request.Close = true
	response, err := l.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask replica: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err = io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("ask replica %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("replica %s answered %s: %s", url, response.Status, body)
	}
	return body, nil
}
