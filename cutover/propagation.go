package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// askAgain is the time between two rounds of asking every server.
const askAgain = time.Second

// Seen says when every address of every authoritative server showed a change (C13).
type Seen struct {
	// At is when the last server had shown it.
	At time.Time `json:"at"`
	// Servers and Answers count who was asked and what they said in the last round.
	Servers int `json:"servers"`
	Answers int `json:"answers"`
	// Took is how long it was from the first question on.
	Took time.Duration `json:"took"`
}

// propagate asks every address of every server until each shows the wanted sets with authority. One that cannot be asked
// has shown nothing.
func (o Options) propagate(ctx context.Context, name string, servers []dnsx.Server, want []dnsx.RRset) (Seen, error) {
	began := o.now()
	said := began
	o.log().InfoContext(ctx, "asking every server", "for", name, "servers", len(servers), "limit", o.propagation().String())
	for {
		answers, err := o.names().Propagated(ctx, servers, want...)
		if err == nil {
			now := o.now()
			return Seen{At: now, Servers: len(servers), Answers: len(answers), Took: now.Sub(began)}, nil
		}
		if ctx.Err() != nil {
			return Seen{}, ctx.Err()
		}
		if !errors.Is(err, dnsx.ErrNotPropagated) {
			return Seen{}, fmt.Errorf("ask the servers of %s: %w", name, err)
		}
		now := o.now()
		if now.Sub(began) >= o.propagation() {
			return Seen{}, &Error{
				Op:   fmt.Sprintf("wait %s until every server shows %s", o.propagation(), name),
				Hint: "look at the zone's transfers and notifies; cutover.propagation is the limit",
				Err:  err,
			}
		}
		if now.Sub(said) >= sayEvery {
			o.log().InfoContext(ctx, "waiting for servers", "name", name, "missing", err.Error())
			said = now
		}
		if err := o.clock().Sleep(ctx, askAgain); err != nil {
			return Seen{}, err
		}
	}
}

// View is what one resolver told its clients at one time.
type View struct {
	Resolver string `json:"resolver"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	// Data is what the name holds; TTL is what is left of it in the resolver's cache.
	Data []string `json:"data,omitempty"`
	TTL  uint32   `json:"ttl"`
	// Moved says that it answers with the new records.
	Moved bool      `json:"moved"`
	Error string    `json:"error,omitempty"`
	At    time.Time `json:"at"`
}

// views asks the zone's resolvers what their clients see. It is information and no gate: a resolver may rightly hold the
// old answer until its TTL ends.
func (o Options) views(ctx context.Context, name string, sets []dnsx.RRset) []View {
	resolvers, err := o.resolversOf(name)
	if err != nil {
		return []View{{Name: name, Error: err.Error(), At: o.now()}}
	}
	var views []View
	for _, resolver := range resolvers {
		for _, want := range sets {
			if len(want.Data) > 0 {
				views = append(views, o.view(ctx, resolver, want))
			}
		}
	}
	return views
}

func (o Options) view(ctx context.Context, resolver netip.AddrPort, want dnsx.RRset) View {
	v := View{Resolver: resolver.String(), Name: want.Name, Type: want.Type, At: o.now()}
	reply, err := o.names().Ask(ctx, resolver, want.Name, want.Type, true)
	if err != nil {
		v.Error = err.Error()
		return v
	}
	got := reply.Set(want.Name, want.Type)
	v.Data, v.TTL, v.Moved = got.Data, got.TTL, got.SameData(want)
	if len(got.Data) == 0 {
		v.Error = "it answers " + reply.Rcode + " without the record"
	}
	return v
}
