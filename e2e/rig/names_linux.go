package rig

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/balancer"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// The last bytes of the addresses of the namespace of the name servers, and of each server's own in it.
const (
	namesHost     = 50
	parentHost    = 52
	primaryHost   = 53
	secondaryHost = 54
	resolverHost  = 55
)

// makeNames makes the namespace of the name servers with an address for each.
func (r *Rig) makeNames(ctx context.Context) error {
	space, err := r.Network.Namespace(ctx, "names", namesHost)
	if err != nil {
		return err
	}
	for _, host := range []byte{parentHost, primaryHost, secondaryHost, resolverHost} {
		if err := space.AddAddress(r.Network.Address(host)); err != nil {
			return err
		}
	}
	r.names = space
	return nil
}

func (r *Rig) startNames(ctx context.Context) error {
	var err error
	r.Names, err = nameserver.StartWorld(ctx, nameserver.WorldOptions{
		Dir:    r.path("names"),
		Parent: r.Network.Address(parentHost), Primary: r.Network.Address(primaryHost),
		Secondary: r.Network.Address(secondaryHost), Resolver: r.resolver(),
		Enter: r.names.Enter, Record: r.record,
	})
	if err != nil {
		return err
	}
	return r.writeKeys(map[string]string{"tsig.secret": r.Names.Key.Secret})
}

func (r *Rig) stopNames(ctx context.Context) error {
	if r.Names == nil {
		return nil
	}
	return r.Names.Stop(ctx)
}

// resolver is the address of the name server that clients ask.
func (r *Rig) resolver() netip.Addr { return r.Network.Address(resolverHost) }

// balancerNames lets the load balancers' stand-in keep its A records.
func (r *Rig) balancerNames() balancer.Names { return balancerNames{r.Names} }

type balancerNames struct{ world *nameserver.World }

// SetAddress implements balancer.Names.
func (n balancerNames) SetAddress(ctx context.Context, hostname string, address netip.Addr) error {
	if err := n.RemoveAddress(ctx, hostname); err != nil {
		return err
	}
	return n.world.AddA(ctx, hostname+".", address)
}

// RemoveAddress implements balancer.Names.
func (n balancerNames) RemoveAddress(ctx context.Context, hostname string) error {
	return n.world.Primary.Clear(ctx, nameserver.LBZone, hostname+".", "A")
}

// keyName is what the rig's TSIG key is called. Its secret is in the folder of keys.
const keyName = "crossfade."

// primary is the server that takes updates, as its own hand would reach it.
func (i *Info) primary() (*nameserver.Server, error) {
	secret, err := i.TSIGSecret()
	if err != nil {
		return nil, err
	}
	addr, err := netip.ParseAddrPort(i.Primary)
	if err != nil {
		return nil, fmt.Errorf("read the address of the primary: %w", err)
	}
	return &nameserver.Server{Spec: nameserver.Spec{
		Name: "dns-primary", Place: nameserver.Place{Addr: addr}, Key: nameserver.Key{Name: keyName, Algorithm: "hmac-sha256", Secret: secret},
	}}, nil
}

// alias makes a name of apps.test a CNAME of another name.
func (i *Info) alias(ctx context.Context, name, target string, ttl uint32) error {
	primary, err := i.primary()
	if err != nil {
		return err
	}
	return primary.Add(ctx, nameserver.AppsZone, dnsx.Record{Name: name + ".", Type: "CNAME", TTL: ttl, Data: target + "."})
}

// clearName takes all records of a type from a name of apps.test.
func (i *Info) clearName(ctx context.Context, name, typ string) error {
	primary, err := i.primary()
	if err != nil {
		return err
	}
	return primary.Clear(ctx, nameserver.AppsZone, name+".", typ)
}

// waitName waits until every server of apps.test has the CNAME, and every server of lb.test the address. Only then the
// resolver may be asked: it would remember a "no" of a server that lags behind.
func (i *Info) waitName(ctx context.Context, name, target string) error {
	client := &dnsx.Client{}
	for _, text := range []string{i.Primary, i.Secondary} {
		server, err := netip.ParseAddrPort(text)
		if err != nil {
			return fmt.Errorf("read the address of a name server: %w", err)
		}
		for asked, typ := range map[string]string{name: "CNAME", target: "A"} {
			err := process.WaitUntil(ctx, 30*time.Second, func(ctx context.Context) error {
				answer, err := client.Ask(ctx, server, asked+".", typ, false)
				if err != nil {
					return err
				}
				if len(answer.Answer) == 0 {
					return fmt.Errorf("%s answers %s", server, answer.Rcode)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("wait for the %s record of %s: %w", typ, asked, err)
			}
		}
	}
	return nil
}

// TSIGSecret is the secret of the key that may change and transfer the zones.
func (i *Info) TSIGSecret() (string, error) { return i.key("tsig.secret") }
