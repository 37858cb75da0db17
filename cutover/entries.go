package cutover

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// Names of the sides.
const (
	sideBlue  = "blue"
	sideGreen = "green"
)

// Entry is where one side answers for one hostname.
type Entry struct {
	Hostname string `json:"hostname"`
	// Source says where this was found: "Service demo/shop", "Ingress demo/shop", "file".
	Source string `json:"source"`
	// Target is the name that a CNAME can point at, canonical. Empty where the side has none.
	Target string `json:"target,omitempty"`
	// Addresses are those at which the side answers, IPv4 before IPv6.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Port at which clients connect; 0 where neither the file nor a check says.
	Port int `json:"port,omitempty"`
	// Class of the Ingress, where it is one.
	Class string `json:"class,omitempty"`
	// Gateway of the HTTPRoute, where it is one: namespace, name and listener.
	Gateway string `json:"gateway,omitempty"`
	// MakeRecord is the name that is to be made for the addresses, which have none: it is Target too.
	MakeRecord string `json:"makeRecord,omitempty"`
	// Nodes says that the addresses are the nodes' own and that Port is a node port: clients must use it.
	Nodes bool `json:"nodes,omitempty"`
	// NodePort and ClusterIPs of the Service, where it is one: other ways in, which evidence of idleness watches.
	NodePort   int          `json:"nodePort,omitempty"`
	ClusterIPs []netip.Addr `json:"clusterIPs,omitempty"`
	// resolved is set where the addresses are what resolvers gave for Target: tomorrow they may give others.
	resolved bool
	// Missing says why nothing, or not enough, is known.
	Missing string `json:"missing,omitempty"`
}

func (e Entry) known() bool { return e.Target != "" || len(e.Addresses) > 0 }

// String names the entry for plans and reports.
func (e Entry) String() string {
	var parts []string
	if e.Target != "" {
		parts = append(parts, e.Target)
	}
	for _, a := range e.Addresses {
		parts = append(parts, a.String())
	}
	if len(parts) == 0 {
		return "nowhere: " + e.Missing
	}
	text := strings.Join(parts, " ")
	if e.Port > 0 {
		text += fmt.Sprintf(" port %d", e.Port)
	}
	return text
}

// Entries are both sides' entries of one hostname.
type Entries struct {
	App      string `json:"app"`
	Hostname string `json:"hostname"` // canonical
	Blue     Entry  `json:"blue"`
	Green    Entry  `json:"green"`
}

// On returns one side's entry.
func (e Entries) On(side string) Entry {
	if side == sideBlue {
		return e.Blue
	}
	return e.Green
}

// FindEntries reads where both sides answer for the hostnames of one application: the file's word first, then the status
// of the Service or Ingress that it names. What cannot be found is said in Entry.Missing and is no error; a cluster that
// does not answer is one.
func FindEntries(ctx context.Context, opts Options, appName string) ([]Entries, error) {
	app, err := opts.application(appName)
	if err != nil {
		return nil, err
	}
	var all []Entries
	for _, h := range app.Hostnames {
		name, err := dnsx.Canonical(h.Name)
		if err != nil {
			return nil, fmt.Errorf("hostname of application %s: %w", app.Name, err)
		}
		e := Entries{App: app.Name, Hostname: name}
		if e.Blue, err = findEntry(ctx, opts, sideBlue, app, h, name); err != nil {
			return nil, err
		}
		if e.Green, err = findEntry(ctx, opts, sideGreen, app, h, name); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func findEntry(ctx context.Context, opts Options, sideName string, app migration.Application, h migration.Hostname, name string) (Entry, error) {
	if h.AtBackend() && sideName == sideGreen {
		entry, err := findEntry(ctx, opts, sideBlue, app, h, name)
		entry.Source = strings.TrimPrefix(entry.Source+", blue's", ", ")
		return entry, err // users reach green where they reached blue
	}
	side, override := opts.Blue, h.Blue
	if sideName == sideGreen {
		side, override = opts.Green, h.Green
	}
	entry := Entry{Hostname: name, Port: clientPort(app, h)}
	var err error
	switch {
	case side.Kube == nil:
		entry.Missing = "the file names no entry and no cluster was given"
	case h.Service != "":
		err = fromService(ctx, side, side.namespace(app.Namespace), h.Service, override != nil && (override.Target != "" || override.Address != ""), &entry)
	case h.Ingress != "":
		err = fromIngress(ctx, side, side.namespace(app.Namespace), h.Ingress, &entry)
	case h.HTTPRoute != "":
		err = fromRoute(ctx, side, side.namespace(app.Namespace), h.HTTPRoute, &entry)
	default:
		entry.Missing = fmt.Sprintf("the file names neither a service nor an ingress for %s, nor %s's entry", h.Name, sideName)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("find the entry of %s on %s: %w", h.Name, sideName, err)
	}
	if err := applyOverride(&entry, override); err != nil {
		return Entry{}, fmt.Errorf("entry of %s on %s in the file: %w", h.Name, sideName, err)
	}
	if entry.Target != "" && len(entry.Addresses) == 0 {
		entry.Addresses, err = lookupAddresses(ctx, opts, name, entry.Target)
		entry.resolved = err == nil
		if err != nil {
			entry.Missing = fmt.Sprintf("no address of %s is known: %v", entry.Target, err)
		}
	}
	sortAddresses(entry.Addresses)
	return entry, nil
}

// applyOverride lets the file's word win, field by field: a load balancer that brings only an address gets its name so.
func applyOverride(entry *Entry, override *migration.Entry) error {
	if override == nil || *override == (migration.Entry{}) {
		return nil
	}
	defer func() { nameEntry(entry, override) }()
	if override.Target == "" && override.Address == "" {
		return nil
	}
	if override.Target != "" {
		target, err := dnsx.Canonical(override.Target)
		if err != nil {
			return err
		}
		entry.Target = target
	}
	if override.Address != "" {
		addr, err := netip.ParseAddr(override.Address)
		if err != nil {
			return fmt.Errorf("address %q: %w", override.Address, err)
		}
		entry.Addresses = []netip.Addr{addr.Unmap()}
	}
	if entry.Source == "" {
		entry.Source = "file"
	} else {
		entry.Source += " and file"
	}
	entry.Missing = ""
	return nil
}

// nameEntry gives an entry that has only an address the name that the file wants to be made for it.
func nameEntry(entry *Entry, override *migration.Entry) {
	if name, err := dnsx.Canonical(override.MakeRecord); err == nil && override.MakeRecord != "" && entry.Target == "" && len(entry.Addresses) > 0 {
		entry.Target, entry.MakeRecord = name, name
	}
}

func clientPort(app migration.Application, h migration.Hostname) int {
	if h.Port > 0 {
		return h.Port
	}
	for _, check := range app.Checks {
		if check.HTTP == nil || check.HTTP.Scheme != "http" {
			continue
		}
		if check.HTTP.Hostname == "" && sameName(app.Hostnames[0].Name, h.Name) || sameName(check.HTTP.Hostname, h.Name) {
			return portHTTP
		}
	}
	return portHTTPS
}

// fromService reads the address of a Service. Where the file names the address itself, the nodes' are not looked for.
func fromService(ctx context.Context, side Side, namespace, name string, named bool, entry *Entry) error {
	entry.Source = fmt.Sprintf("Service %s/%s", namespace, name)
	svc, err := side.Kube.Typed.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		entry.Missing = entry.Source + " does not exist"
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", entry.Source, err)
	}
	for _, ip := range svc.Spec.ClusterIPs {
		if addr, err := netip.ParseAddr(ip); err == nil {
			entry.ClusterIPs = append(entry.ClusterIPs, addr)
		}
	}
	ofNodes := svc.Spec.Type == corev1.ServiceTypeNodePort && len(svc.Spec.ExternalIPs) == 0 && !named
	if !takePort(svc.Spec.Ports, ofNodes, entry) {
		entry.Missing = fmt.Sprintf("%s has no port %d", entry.Source, entry.Port)
		return nil
	}
	for _, in := range svc.Status.LoadBalancer.Ingress {
		takeAddress(entry, in.IP, in.Hostname)
	}
	for _, ip := range svc.Spec.ExternalIPs {
		takeAddress(entry, ip, "")
	}
	if !entry.known() && ofNodes {
		return fromNodes(ctx, side, svc, entry)
	}
	if !entry.known() {
		entry.Missing = fmt.Sprintf("%s (type %s) has no address yet", entry.Source, svc.Spec.Type)
	}
	return nil
}

// takePort finds the port that clients use. At the nodes it may be given by its node port too.
func takePort(ports []corev1.ServicePort, ofNodes bool, entry *Entry) bool {
	for _, p := range ports {
		if int(p.Port) == entry.Port || ofNodes && int(p.NodePort) == entry.Port {
			entry.NodePort = int(p.NodePort)
			return true
		}
	}
	return false
}

func fromIngress(ctx context.Context, side Side, namespace, name string, entry *Entry) error {
	entry.Source = fmt.Sprintf("Ingress %s/%s", namespace, name)
	ing, err := side.Kube.Typed.NetworkingV1().Ingresses(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		entry.Missing = entry.Source + " does not exist"
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", entry.Source, err)
	}
	entry.Class = ing.Annotations["kubernetes.io/ingress.class"]
	if ing.Spec.IngressClassName != nil {
		entry.Class = *ing.Spec.IngressClassName
	}
	for _, in := range ing.Status.LoadBalancer.Ingress {
		takeAddress(entry, in.IP, in.Hostname)
	}
	if !entry.known() {
		entry.Missing = entry.Source + " has no address yet"
	}
	return nil
}

func takeAddress(entry *Entry, ip, hostname string) {
	if addr, err := netip.ParseAddr(ip); err == nil && !slices.Contains(entry.Addresses, addr.Unmap()) {
		entry.Addresses = append(entry.Addresses, addr.Unmap())
	}
	if name, err := dnsx.Canonical(hostname); err == nil && hostname != "" && entry.Target == "" {
		entry.Target = name
	}
}

func sortAddresses(addrs []netip.Addr) {
	slices.SortFunc(addrs, func(a, b netip.Addr) int { return a.Compare(b) })
}

// lookupAddresses asks the resolvers of the zone that holds the hostname, as its clients would.
func lookupAddresses(ctx context.Context, opts Options, hostname, target string) ([]netip.Addr, error) {
	resolvers, err := opts.resolversOf(hostname)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		found, whole, err := askAddresses(ctx, opts, resolvers, target)
		if whole || try == addressTries {
			return found, err
		}
		if err := opts.clock().Sleep(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// addressTries is how often resolvers are asked for addresses while they have no answer at all, which is not that there is no address.
const addressTries = 3

// askAddresses asks one resolver after the other until one knows an address. It says whether that resolver, or every one where none
// does, gave an answer for each type.
func askAddresses(ctx context.Context, opts Options, resolvers []netip.AddrPort, target string) (found []netip.Addr, whole bool, err error) {
	whole = true
	for _, resolver := range resolvers {
		answered := true
		for _, typ := range []string{"A", "AAAA"} {
			reply, asked := opts.names().Ask(ctx, resolver, target, typ, true)
			if asked == nil && reply.Rcode != "NOERROR" && reply.Rcode != "NXDOMAIN" {
				asked = fmt.Errorf("%s answers %s for %s %s", resolver, reply.Rcode, target, typ)
			}
			if asked != nil {
				err, answered = asked, false
				continue
			}
			found = append(found, addressesIn(reply.Answer)...)
		}
		if len(found) > 0 {
			return found, answered, nil
		}
		whole = whole && answered
	}
	if err == nil {
		err = fmt.Errorf("resolvers know no address of %s", target)
	}
	return nil, whole, err
}

func addressesIn(records []dnsx.Record) []netip.Addr {
	var found []netip.Addr
	for _, r := range records {
		if r.Type != "A" && r.Type != "AAAA" {
			continue
		}
		if addr, err := netip.ParseAddr(r.Data); err == nil {
			found = append(found, addr)
		}
	}
	return found
}
