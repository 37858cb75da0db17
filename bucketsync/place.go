package bucketsync

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// place is where the keys of a prefix of a bucket lie, for comparing two of them.
type place struct {
	server server // the zero value for a directory
	store  string // the bucket, with its account where names of buckets are the account's own; of a directory its path
	prefix string
	nested bool // stores of this kind can lie in each other, as directories do
	single bool // a bucket has no second name within its server
}

// server is where a store answers. Which protocol is spoken to it says nothing: more than one reaches the same buckets.
type server struct{ host, port, path string }

// kinship is what names tell of two places.
type kinship int

const (
	apart kinship = iota
	// doubtful: two names of hosts lead to one address, where one store may answer, or one of several by the name that it is asked with.
	doubtful
	overlapping
	// distinct: names tell for certain that both are apart.
	distinct
)

// resolver finds the addresses of a host.
type resolver func(ctx context.Context, host string) ([]string, error)

func placeOf(b bucket.Bucket, prefix string) place {
	caps := b.Describe()
	u, err := bucket.ParseURL(caps.URL)
	if err != nil {
		return place{server: serverAt(caps.Endpoint), prefix: strings.TrimRight(caps.URL, "/") + "/" + prefix}
	}
	p := place{store: u.Bucket + "/", prefix: u.Prefix + prefix}
	switch u.Scheme {
	case bucket.SchemeFile:
		return place{store: really(u.Path), prefix: prefix, nested: true}
	case bucket.SchemeS3:
		p.server = serverAt(cmp.Or(caps.Endpoint, "https://s3.amazonaws.com"))
		p.server.host = partition(p.server.host)
	case bucket.SchemeMinIO:
		scheme := "https://"
		if u.Plain {
			scheme = "http://"
		}
		p.server, p.single = serverAt(cmp.Or(caps.Endpoint, scheme+u.Host)), true
	case bucket.SchemeGCS:
		p.server = serverAt(cmp.Or(caps.Endpoint, "https://storage.googleapis.com"))
	case bucket.SchemeAzure:
		p.server = serverAt(cmp.Or(caps.Endpoint, "https://"+u.Host+".blob.core.windows.net"))
		p.store = strings.ToLower(u.Host) + "/" + u.Bucket + "/"
	}
	return p
}

// partition is one host for all regions of Amazon's in which names of buckets are the same.
func partition(host string) string {
	switch {
	case strings.HasSuffix(host, ".amazonaws.com.cn"):
		return "cn.amazonaws.com"
	case strings.HasSuffix(host, ".amazonaws.com") && strings.Contains(host, "us-gov-"):
		return "us-gov.amazonaws.com"
	case strings.HasSuffix(host, ".amazonaws.com"):
		return "amazonaws.com"
	}
	return host
}

func serverAt(endpoint string) server {
	u, err := url.Parse(endpoint)
	if err != nil {
		return server{host: endpoint}
	}
	s := server{host: strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), port: u.Port(), path: strings.Trim(u.Path, "/")}
	if s.port == "" {
		s.port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return s
}

// really is the path of a directory without links on the way, as far as it is there, with a slash at its end.
func really(dir string) string {
	dir, rest := filepath.Clean(dir), ""
	for up := dir; ; up = filepath.Dir(up) {
		if real, err := filepath.EvalSymlinks(up); err == nil {
			dir = filepath.Join(real, rest)
			break
		}
		if up == filepath.Dir(up) {
			break
		}
		rest = filepath.Join(filepath.Base(up), rest)
	}
	return strings.TrimRight(filepath.ToSlash(dir), "/") + "/"
}

// HoldsFile reports whether a file would be taken for an object of a bucket: where that is a directory and the file lies in it, but for
// what the driver keeps there for itself. The file need not be there yet.
func HoldsFile(b bucket.Bucket, path string) (bool, error) {
	p := placeOf(b, "")
	if !p.nested {
		return false, nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return false, fmt.Errorf("find %s: %w", path, err)
	}
	within, inside := strings.CutPrefix(place{store: really(path), nested: true}.under(p).store, p.store)
	return inside && !strings.HasPrefix(within, ".crossfade/"), nil
}

// overlaps says whether keys of one place are, or lie in, keys of the other.
func (p place) overlaps(ctx context.Context, q place, resolve resolver) kinship {
	if p.nested && q.nested {
		if p.meets(q) || p.under(q).meets(q) || q.under(p).meets(p) {
			return overlapping
		}
		return apart
	}
	if p.nested != q.nested {
		return apart
	}
	if p.store != q.store || !prefixes(p.prefix, q.prefix) {
		if p.server == q.server && p.server.host != "" && (p.store == q.store || p.single && q.single) {
			return distinct
		}
		return apart
	}
	return p.server.is(ctx, q.server, resolve)
}

func prefixes(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

func (p place) meets(q place) bool {
	if p.store == q.store {
		return prefixes(p.prefix, q.prefix)
	}
	return prefixes(p.store, q.store) && prefixes(p.store+p.prefix, q.store+q.prefix)
}

// under gives a directory the path that it has by way of another one, where that one is above it by another path: mounted twice, or
// named in other letters where the file system does not mind.
func (p place) under(q place) place {
	above, err := os.Stat(filepath.FromSlash(q.store))
	if err != nil {
		return p
	}
	rest := ""
	for up := filepath.Clean(filepath.FromSlash(p.store)); ; up = filepath.Dir(up) {
		if info, err := os.Stat(up); err == nil && os.SameFile(info, above) {
			p.store = q.store + rest
			return p
		}
		if up == filepath.Dir(up) {
			return p
		}
		rest = filepath.Base(up) + "/" + rest
	}
}

// is reports whether two endpoints are one server. A number that is an address of the other's name is: who asks by it leaves the server
// nothing else to tell stores apart by.
func (s server) is(ctx context.Context, t server, resolve resolver) kinship {
	switch {
	case s == t:
		return overlapping
	case s.port != t.port || s.path != t.path || s.host == "" || t.host == "" || s.providers() && t.providers():
		return apart
	}
	a, b := addresses(ctx, s.host, resolve), addresses(ctx, t.host, resolve)
	if !slices.ContainsFunc(a, func(one netip.Addr) bool { return slices.Contains(b, one) }) {
		if own := ownAddresses(); within(a, own) && within(b, own) {
			return doubtful // one server may listen at all of this machine's addresses, or one at each
		}
		return apart
	}
	numeric := func(host string) bool {
		_, err := netip.ParseAddr(host)
		return err == nil || host == "localhost"
	}
	if numeric(s.host) || numeric(t.host) {
		return overlapping
	}
	return doubtful
}

// providers reports whether it is an address that a provider has made known: it needs no looking up.
func (s server) providers() bool {
	return s.host == "amazonaws.com" || strings.HasSuffix(s.host, ".amazonaws.com") || s.host == "storage.googleapis.com" || strings.HasSuffix(s.host, ".blob.core.windows.net")
}

// addresses of a host. One that has none, or cannot be found out, shares none.
func addresses(ctx context.Context, host string, resolve resolver) (found []netip.Addr) {
	texts := []string{host}
	if _, err := netip.ParseAddr(host); err != nil {
		if texts, err = resolve(ctx, host); err != nil {
			return nil
		}
	}
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			found = append(found, oneForm(addr))
		}
	}
	return found
}

// oneForm takes what leads to this machine in both families of addresses, or in none, for one.
func oneForm(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.IsUnspecified() || addr == netip.IPv6Loopback() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return addr
}

// ownAddresses are those of this machine.
func ownAddresses() (own []netip.Prefix) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	own = append(own, netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, 0, 0}), 8))
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, netip.PrefixFrom(oneForm(p.Addr()), oneForm(p.Addr()).BitLen()))
		}
	}
	return own
}

func within(addrs []netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool {
		return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
	})
}
