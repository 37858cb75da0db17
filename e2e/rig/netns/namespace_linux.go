package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/e2e/rig/record"
)

// link is what the one interface of each namespace is called.
const link = "eth0"

// A Namespace is one network namespace with one interface, eth0, on the network's bridge.
type Namespace struct {
	// Name is what `ip netns` calls it.
	Name string
	// Address is its own on eth0.
	Address netip.Addr

	bits int
	veth string // the bridge's end of the interface
	log  *record.Log
}

func (s *Namespace) entry() record.Entry { return record.Entry{Kind: record.Namespace, Name: s.Name} }

func (s *Namespace) vethEntry() record.Entry { return record.Entry{Kind: record.Link, Name: s.veth} }

func (s *Namespace) create(ctx context.Context, bridge string) error {
	if err := s.log.Made(s.entry()); err != nil {
		return err
	}
	if err := s.log.Made(s.vethEntry()); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "ip", "netns", "add", s.Name).CombinedOutput(); err != nil {
		return fmt.Errorf("ip netns add: %w: %s", err, strings.TrimSpace(string(out)))
	}
	file, err := os.Open(s.path())
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find bridge: %w", err)
	}
	attrs := netlink.LinkAttrs{Name: s.veth, MasterIndex: master.Attrs().Index}
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: link, PeerNamespace: netlink.NsFd(file.Fd())}
	err = netlink.LinkAdd(veth)
	if errors.Is(err, unix.EEXIST) {
		// The kernel has not yet removed the interface of an earlier network that had this one's number.
		if err := record.Remove(ctx, s.vethEntry()); err != nil {
			return err
		}
		err = netlink.LinkAdd(veth)
	}
	if err != nil {
		return fmt.Errorf("make interface: %w", err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("start interface: %w", err)
	}
	return s.Do(s.configure)
}

func (s *Namespace) path() string { return "/run/netns/" + s.Name }

// configure runs inside.
func (s *Namespace) configure() error {
	settings := map[string]string{
		"net/ipv6/conf/all/disable_ipv6":     "1",
		"net/ipv6/conf/default/disable_ipv6": "1",
		"net/ipv4/ip_forward":                "1",
	}
	for name, value := range settings {
		err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	for _, name := range []string{"lo", link} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
	}
	return changeAddress(netlink.AddrAdd, netip.PrefixFrom(s.Address, s.bits))
}

// AddAddress puts one more address of the network on eth0. One that is there already is no error.
func (s *Namespace) AddAddress(address netip.Addr) error {
	err := s.Do(func() error { return changeAddress(netlink.AddrAdd, netip.PrefixFrom(address, address.BitLen())) })
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// RemoveAddress takes an address away. One that is not there is no error.
func (s *Namespace) RemoveAddress(address netip.Addr) error {
	err := s.Do(func() error { return changeAddress(netlink.AddrDel, netip.PrefixFrom(address, address.BitLen())) })
	if isGone(err) {
		return nil
	}
	return err
}

func changeAddress(change func(netlink.Link, *netlink.Addr) error, prefix netip.Prefix) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find %s: %w", link, err)
	}
	if err := change(l, &netlink.Addr{IPNet: ipNet(prefix)}); err != nil {
		return fmt.Errorf("change address %s of %s: %w", prefix, link, err)
	}
	return nil
}

// Enter moves the calling thread into the namespace. The caller has locked its goroutine to the thread, and never
// unlocks it.
func (s *Namespace) Enter() error {
	file, err := os.Open(s.path())
	if err != nil {
		return fmt.Errorf("enter namespace: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", s.Name, err)
	}
	return nil
}

// Do calls f on a thread inside the namespace and waits for it. Goroutines that f starts are outside.
func (s *Namespace) Do(f func() error) error {
	return process.OnThread(func() error {
		if err := s.Enter(); err != nil {
			return err
		}
		return f()
	})
}

// Empty ends every process inside, and leaves the namespace.
func (s *Namespace) Empty(ctx context.Context) error {
	if _, err := record.EmptyNamespace(ctx, s.Name); err != nil {
		return fmt.Errorf("end the processes in namespace %s: %w", s.Name, err)
	}
	return nil
}

func (s *Namespace) remove(ctx context.Context) error {
	for _, entry := range []record.Entry{s.vethEntry(), s.entry()} {
		if err := record.Remove(ctx, entry); err != nil {
			return fmt.Errorf("remove %s %s: %w", entry.Kind, entry.Name, err)
		}
		if err := s.log.Gone(entry); err != nil {
			return err
		}
	}
	return nil
}
