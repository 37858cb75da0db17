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

// askAgain is the longest time between two rounds of asking every server, askSoon the shortest: most changes are everywhere within a
// second or two, and whoever waits for one that is not has time.
const (
	askAgain = time.Second
	askSoon  = 200 * time.Millisecond
)

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
	name, began := s.name, o.now()
	s.servers = z.watched(s.servers)
	said := began
	o.log().InfoContext(ctx, "asking every server", "for", name, "servers", len(s.servers), "limit", o.propagation().String())
	for {
		answers, err := o.everywhere(ctx, s)
		if err == nil {
			now := o.now()
			return Seen{At: now, Servers: len(s.servers), Answers: len(answers), Took: now.Sub(began), By: by}, nil
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
				Op:   fmt.Sprintf("wait %s, since %s, until every server shows %s", o.propagation(), began.Format(time.TimeOnly), name),
				Hint: mendServers(answers),
				Err:  err,
			}
		}
		if now.Sub(said) >= sayEvery {
			o.log().InfoContext(ctx, "waiting for servers", "name", name, "since", began.Format(time.TimeOnly), "missing", err.Error(), "limit", o.propagation().String())
			said = now
			s.servers = o.serving(ctx, z, s)
		}
		if err := o.clock().Sleep(ctx, max(askSoon, min(askAgain, now.Sub(began)/4))); err != nil {
			return Seen{}, err
		}
	}
}

// mendServers says what there is to do about servers that did not show a change, by whether they answered.
func mendServers(answers []dnsx.ServerAnswer) string {
	for _, a := range answers {
		if a.Unknown {
			return "mend the server that gives no answer, or take it out of the zone's delegation, and out of zones[].servers where the file lists them: who is no longer a server of the zone is no longer asked"
		}
	}
	return "look at the zone's transfers and notifies; cutover.propagation is the limit"
}

// watched are the servers that the file lists now, where it does; else those that were found when a plan was made.
func (z Zone) watched(found []dnsx.Server) []dnsx.Server {
	var listed []dnsx.Server
	for _, text := range z.Servers {
		addr, err := dnsx.ParseServer(text)
		if err != nil {
			return found // said where the zone is discovered
		}
		listed = append(listed, dnsx.Server{Addrs: []netip.AddrPort{addr}})
	}
	if len(listed) == 0 {
		return found
	}
	return listed
}

// serving reads again who serves the zone: a server may be taken out of the delegation, or a new one come, while it is waited for.
// Where that cannot be read, those that are known stay.
func (o Options) serving(ctx context.Context, z Zone, s spread) []dnsx.Server {
	if len(z.Servers) > 0 {
		return s.servers
	}
	d, err := o.names().Discover(ctx, s.name, z.source())
	if err != nil || len(d.Servers) == 0 || d.SOA.Zone != s.zone {
		return s.servers
	}
	return d.Servers
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
	// Clients ask for addresses, and what a resolver has kept of their questions is what it gives them.
	typ := want.Type
	if typ == "CNAME" {
		typ = "A"
	}
	reply, err := o.names().Ask(ctx, resolver, want.Name, typ, true)
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
