package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// A goal is one change together with the way to see whether it is already so.
type goal struct {
	// done reads at the primary: true where everything is as it is to become, false where everything is as the change
	// expects, and an error where it is neither, or where nothing could be learned.
	done func(ctx context.Context) (bool, error)
	// message builds the change afresh, with records of its own: the library writes into the records of a message and
	// into the message when it signs it (C2, C3).
	message func() (*dns.Msg, error)
	// explain says why the server found a condition false although done saw nothing wrong.
	explain func(ctx context.Context, reply *ReplyError) error
	// mend, where set, is called when the server acknowledged a change and then shows neither the old nor the new. It
	// says whether there was something for it to do.
	mend func(ctx context.Context) (bool, error)
}

// commit carries out a goal, as the package comment draws it. The result has no After.
func (d *Driver) commit(ctx context.Context, g goal) (zone.Result, error) {
	result := zone.Result{Strength: zone.Atomic}
	done, err := g.done(ctx)
	if err != nil || done {
		return result, err
	}
	var lost error
	for result.Attempts < d.attempts {
		if err := ctx.Err(); err != nil {
			break
		}
		msg, err := g.message()
		if err != nil {
			return result, err
		}
		result.Attempts++
		reply, err := d.exchange(ctx, msg)
		var refusal *ReplyError
		if err == nil && reply.Rcode != dns.RcodeSuccess {
			refusal = replyError(reply)
		}
		// From here on the change may have been made: what became of it is found out even if the caller is gone.
		done, readErr := d.readBack(ctx, g)
		if err == nil && refusal == nil && readErr != nil && g.mend != nil {
			var mended bool
			if mended, err = d.mendAfter(ctx, g); mended && err == nil {
				// For a moment the name was without an answer: that is not what atomic promises.
				result.Attempts++
				result.Strength = zone.Weak
				done, readErr = d.readBack(ctx, g)
			}
		}
		if accepted := err == nil && refusal == nil; readErr == nil && !done && (accepted || result.Attempts > 1 && isCondition(refusal)) {
			done, readErr = d.awaitShown(ctx, g)
		}
		switch {
		case readErr != nil && refusal != nil && known(readErr):
			return result, readErr
		case readErr != nil && refusal != nil:
			return result, errors.Join(refusal, readErr)
		case readErr != nil:
			return result, fmt.Errorf("%w: %w", zone.ErrUncertain, errors.Join(err, readErr))
		case done:
			result.Applied = true
			result.Recovered = err != nil || refusal != nil
			return result, nil
		case refusal != nil:
			return result, g.explain(context.WithoutCancel(ctx), refusal)
		case err == nil:
			return result, fmt.Errorf("%w: the server said yes and shows the old records still", zone.ErrNotApplied)
		case !errors.Is(err, ErrUnsigned) && errors.As(err, &refusal):
			return result, err // BADTIME, BADKEY, BADSIG: another message would fare no better
		}
		lost = err
		d.log.Warn("no usable reply to an update, the primary still shows the old records", "server", d.server, "attempt", result.Attempts, "error", err)
	}
	if result.Attempts == 0 {
		return result, context.Cause(ctx)
	}
	return result, fmt.Errorf("%w: %w", zone.ErrUncertain, errors.Join(lost, ctx.Err()))
}

// readBack reads with a time of its own, so that a cancelled caller still learns what happened.
func (d *Driver) readBack(ctx context.Context, g goal) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*d.timeout)
	defer cancel()
	return g.done(ctx)
}

// settleStep is the time between two looks at a primary that still shows the old records.
const settleStep = 100 * time.Millisecond

// awaitShown looks until the primary shows what it has accepted, now or by an earlier message, or Settle is over.
func (d *Driver) awaitShown(ctx context.Context, g goal) (bool, error) {
	limit := time.NewTimer(d.settle)
	defer limit.Stop()
	tick := time.NewTicker(settleStep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return d.readBack(ctx, g)
		case <-limit.C:
			return d.readBack(ctx, g)
		case <-tick.C:
		}
		if done, err := d.readBack(ctx, g); done || err != nil {
			return done, err
		}
	}
}

// isCondition says whether a refusal means that a condition was false.
func isCondition(refusal *ReplyError) bool {
	return refusal != nil && (errors.Is(refusal, zone.ErrMoved) || errors.Is(refusal, zone.ErrConflict))
}

// mendAfter has a time of its own, like readBack.
func (d *Driver) mendAfter(ctx context.Context, g goal) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*d.timeout)
	defer cancel()
	return g.mend(ctx)
}

// known says whether an error of reading back is itself the explanation.
func known(err error) bool {
	return errors.Is(err, zone.ErrMoved) || errors.Is(err, zone.ErrFenced) || errors.Is(err, zone.ErrConflict)
}

// update starts a message that changes the zone. One message speaks of one zone (C9).
func (d *Driver) update() *dns.Msg {
	msg := new(dns.Msg)
	msg.SetUpdate(d.apex)
	return msg
}

// bare is a record that has only a name and a type, for the conditions and deletions that need no more.
func bare(name string, typ uint16) []dns.RR {
	return []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: typ}}}
}
