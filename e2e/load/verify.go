package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// verifyAtOnce is how many keys are read at a time.
const verifyAtOnce = 8

// A ReadFunc reads what is kept as key. It returns an error that wraps ErrNotFound
// if it is certain that nothing is. It is called from several goroutines.
type ReadFunc func(ctx context.Context, key string) ([]byte, error)

// Verification says what became of accepted writes.
type Verification struct {
	Checked int    `json:"checked"`
	Lost    []Loss `json:"lost"`   // not there, or with another body
	Unread  []Loss `json:"unread"` // not known: the reading failed
}

// Loss is one write that was accepted and was not found as it was written.
type Loss struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

// OK reports whether every write was found. One that could not be read was not.
func (v Verification) OK() bool { return len(v.Lost) == 0 && len(v.Unread) == 0 }

// Verify reads every key. Its error is only for a ctx that ended before all were
// read.
func Verify(ctx context.Context, keys []string, read ReadFunc) (Verification, error) {
	v := Verification{Lost: []Loss{}, Unread: []Loss{}}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(verifyAtOnce)
	for _, key := range keys {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			body, err := read(ctx, key)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case ctx.Err() != nil:
				return nil // not checked; told below
			case errors.Is(err, ErrNotFound):
				v.Lost = append(v.Lost, Loss{Key: key, Reason: err.Error()})
			case err != nil:
				v.Unread = append(v.Unread, Loss{Key: key, Reason: err.Error()})
			case !bytes.Equal(body, Body(key)):
				v.Lost = append(v.Lost, Loss{Key: key, Reason: fmt.Sprintf("wrong body: %.100q", body)})
			}
			v.Checked++
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return v, err
	}
	if err := ctx.Err(); err != nil {
		return v, fmt.Errorf("verify %d writes: stopped after %d: %w", len(keys), v.Checked, err)
	}
	return v, nil
}
