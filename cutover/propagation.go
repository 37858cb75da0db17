package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
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
	// By is who showed it, where that was not the name servers.
	By string `json:"by,omitempty"`
}

// spread is what must be seen everywhere.
type spread struct {
	name, zone string
	// signed wants good signatures too.
	signed  bool
	servers []dnsx.Server
	want    []dnsx.RRset
}

// everywhere asks every address of every server once.
func (o Options) everywhere(ctx context.Context, s spread) ([]dnsx.ServerAnswer, error) {
	answers, err := o.names().Propagated(ctx, s.servers, s.want...)
	if err != nil || !s.signed {
		return answers, err
	}
	var types []string
	for _, set := range s.want {
		if len(set.Data) > 0 {
			types = append(types, set.Type)
		}
	}
	views := o.names().Survey(ctx, s.servers, dnsx.SurveyOptions{Apex: s.zone, Name: s.name, Types: types, Signed: true, At: o.now()})
	if bad := unsigned(views); len(bad) > 0 {
		return answers, fmt.Errorf("%w: %s", dnsx.ErrNotPropagated, strings.Join(bad, "; "))
	}
	return answers, ctx.Err()
}

// unsigned says of each view that has no good signature over its sets, or none at all, why (C15).
func unsigned(views []dnsx.View) []string {
	var bad []string
	for _, v := range views {
		who := strings.TrimSpace(v.Server + " " + v.Addr.String())
		if v.Unknown != "" {
			bad = append(bad, who+": "+v.Unknown)
		}
		for _, s := range v.Signatures {
			if s.Problem != "" {
				bad = append(bad, who+": "+s.Problem)
			}
		}
	}
	return bad
}

// propagate asks every address of every server until each shows the wanted sets with authority. One that cannot be asked
// has shown nothing. In a signed zone each must show them with a good signature: a client that validates would else have
// no answer.
func (o Options) propagate(ctx context.Context, s spread) (Seen, error) {
	z, err := o.zoneOf(s.name)
	if err != nil {
		return Seen{}, err
	}
	hiding, err := proxied(ctx, z.Driver, s.name)
	if err != nil {
		return Seen{}, err
	}
	by := ""
	if hiding {
		by = byProvider
		hidden := s.hide()
		if err := atProvider(ctx, z.Driver, hidden); err != nil {
			return Seen{}, &Error{Op: "verify " + s.name, Hint: "who else changes the name at the provider?", Err: err}
		}
		if len(s.want) == 0 {
			return Seen{At: o.now(), Answers: len(hidden), By: by}, nil
		}
	}
	name, servers := s.name, s.servers
	began := o.now()
	said := began
	o.log().InfoContext(ctx, "asking every server", "for", name, "servers", len(servers), "limit", o.propagation().String())
	for {
		answers, err := o.everywhere(ctx, s)
		if err == nil {
			now := o.now()
			return Seen{At: now, Servers: len(servers), Answers: len(answers), Took: now.Sub(began), By: by}, nil
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
// old answer until its TTL ends. Of a proxied name they see nothing that could move.
func (o Options) views(ctx context.Context, name string, sets []dnsx.RRset) []View {
	if z, err := o.zoneOf(name); err == nil {
		if hiding, err := proxied(ctx, z.Driver, name); err == nil && hiding {
			return nil
		}
	}
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
