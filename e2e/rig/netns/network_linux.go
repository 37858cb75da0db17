package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/crossfade-project/crossfade/e2e/rig/record"
)

// A Network is one bridge with the namespaces on it.
type Network struct {
	// Name is the bridge's name, with which the names of the namespaces begin.
	Name string
	// Subnet holds every address of the network; Host is the machine's own in it.
	Subnet netip.Prefix
	Host   netip.Addr

	log    *record.Log
	mu     sync.Mutex
	spaces []*Namespace
}

// New makes a bridge with a number that is free. What is made is written to log, which may be nil.
func New(ctx context.Context, log *record.Log) (*Network, error) {
	taken, err := machineRoutes()
	if err != nil {
		return nil, err
	}
	for n := range 250 {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 213, byte(n), 0}), 24)
		if overlaps(taken, subnet) {
			continue
		}
		network := &Network{Name: fmt.Sprintf("cf%d", n), Subnet: subnet, Host: subnet.Addr().Next(), log: log}
		err := network.create()
		if errors.Is(err, unix.EEXIST) {
			continue // another run has this number
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make bridge %s: %w", network.Name, err), network.Close(context.WithoutCancel(ctx)))
		}
		return network, nil
	}
	return nil, errors.New("make bridge: no subnet of 10.213.0.0/16 is free; `rig down` removes what earlier runs left")
}

func (n *Network) entry() record.Entry { return record.Entry{Kind: record.Link, Name: n.Name} }

func (n *Network) create() error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: n.Name}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return err
	}
	if err := n.log.Made(n.entry()); err != nil {
		return err
	}
	// A machine without IPv6 has no such setting, and needs none.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+n.Name+"/disable_ipv6", []byte("1"), 0o644)
	address := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(n.Host, n.Subnet.Bits()))}
	if err := netlink.AddrAdd(bridge, address); err != nil {
		return fmt.Errorf("give it address %s: %w", n.Host, err)
	}
	return netlink.LinkSetUp(bridge)
}

// Namespace makes a namespace with one address on its eth0: the subnet's, with last as its last byte.
func (n *Network) Namespace(ctx context.Context, name string, last byte) (*Namespace, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	space := &Namespace{
		Name: n.Name + "-" + name, Address: n.Address(last),
		bits: n.Subnet.Bits(), log: n.log, veth: fmt.Sprintf("%sv%d", n.Name, last),
	}
	n.spaces = append(n.spaces, space)
	if err := space.create(ctx, n.Name); err != nil {
		return nil, fmt.Errorf("make namespace %s: %w", space.Name, err)
	}
	return space, nil
}

// Address returns the subnet's address that ends in last.
func (n *Network) Address(last byte) netip.Addr {
	address := n.Subnet.Addr().As4()
	address[3] = last
	return netip.AddrFrom4(address)
}

// Pool returns count addresses, beginning with the one that ends in first.
func (n *Network) Pool(first byte, count int) []netip.Addr {
	var pool []netip.Addr
	for i := range count {
		pool = append(pool, n.Address(first+byte(i)))
	}
	return pool
}

// Close removes the namespaces, ending every process in them, and the bridge.
func (n *Network) Close(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var failed []error
	for _, space := range n.spaces {
		failed = append(failed, space.remove(ctx))
	}
	n.spaces = nil
	err := record.Remove(ctx, n.entry())
	if err == nil {
		err = n.log.Gone(n.entry())
	}
	return errors.Join(append(failed, err)...)
}

// machineRoutes lists what the machine can reach by a route of its own, except by its default route.
func machineRoutes() ([]netip.Prefix, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list the machine's routes: %w", err)
	}
	var taken []netip.Prefix
	for _, route := range routes {
		if route.Dst == nil {
			continue
		}
		if prefix, err := netip.ParsePrefix(route.Dst.String()); err == nil && prefix.Bits() > 0 {
			taken = append(taken, prefix)
		}
	}
	return taken, nil
}

func overlaps(taken []netip.Prefix, subnet netip.Prefix) bool {
	for _, prefix := range taken {
		if prefix.Overlaps(subnet) {
			return true
		}
	}
	return false
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

// isGone tells the errors that say that a link or address is not there.
func isGone(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) ||
		(err != nil && strings.Contains(err.Error(), "not found"))
}
