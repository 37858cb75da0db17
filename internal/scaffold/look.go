package scaffold

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/mend"
)

// Error is a failure that the user can mend.
type Error = mend.Error

// Names asks name servers. *dnsx.Client is one.
type Names interface {
	// Discover finds the zone that holds a name, its servers and what stands at the name.
	Discover(ctx context.Context, name string, from dnsx.Source) (dnsx.Delegation, error)
}

// LookOptions say where to look. Blue and Green are needed.
type LookOptions struct {
	Blue, Green *kube.Client
	// Namespaces of blue that are to move. Empty are all with workloads but the platform's own.
	Namespaces []string
	// Hostnames that are asked for beside those that blue's objects name.
	Hostnames []string
	// Zones in which Services without a name are looked for, beside those of the hostnames.
	Zones []string
	// From says which name servers are asked.
	From  dnsx.Source
	Names Names
	// Limit is how long each of the two clusters, and the name servers, may take. Default 30s.
	Limit time.Duration
}

const defaultLimit = 30 * time.Second

// Look reads both clusters and the name servers. A cluster that does not answer at all is an error; what it does not show,
// or not in time, is listed in Survey.Unseen.
func Look(ctx context.Context, opts LookOptions) (*Survey, error) {
	if opts.Limit <= 0 {
		opts.Limit = defaultLimit
	}
	s := &Survey{Names: map[string]Name{}, Resolvers: opts.From.Resolvers, Servers: opts.From.Servers}
	blue, err := s.lookAt(ctx, opts, "blue", opts.Blue, &s.Blue, s.readBlue)
	if err != nil {
		return nil, err
	}
	green, err := s.lookAt(ctx, opts, "green", opts.Green, &s.Green, nil)
	if err != nil {
		return nil, err
	}
	s.OneCluster = blue.UID == green.UID
	if !slices.ContainsFunc(s.Namespaces, func(ns Namespace) bool { return len(ns.Workloads) > 0 }) {
		return nil, &Error{Op: "look for applications on blue", Hint: "name the namespaces with --namespace, and check blue's context and the rights of its account",
			Err: fmt.Errorf("no workload was seen%s", because(s.Unseen))}
	}
	s.lookUp(ctx, opts)
	s.sort()
	return s, ctx.Err()
}

// sort gives everything an order of its own, not that in which servers list it.
func (s *Survey) sort() {
	slices.Sort(s.Unseen)
	s.Unseen = slices.Compact(s.Unseen)
	for _, ns := range s.Namespaces {
		slices.SortFunc(ns.Workloads, func(a, b Workload) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
		slices.SortFunc(ns.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(ns.Ingresses, func(a, b Ingress) int { return cmp.Compare(a.Name, b.Name) })
	}
}

func because(unseen []string) string {
	if len(unseen) == 0 {
		return ""
	}
	return "; " + strings.Join(unseen, "; ")
}

// lookAt reads one side within the limit.
func (s *Survey) lookAt(ctx context.Context, opts LookOptions, name string, client *kube.Client, side *Side, more func(context.Context, LookOptions) error) (kube.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, opts.Limit)
	defer cancel()
	id, err := client.Identity(ctx)
	if err != nil {
		return id, &Error{Op: "look at " + name, Hint: "check its kubeconfig and context, and that its API server can be reached from here; a connection that hangs is most often a firewall", Err: err}
	}
	side.Server, side.Version = id.Server, id.Version
	s.readSide(ctx, name, client, side)
	if more == nil {
		return id, nil
	}
	return id, more(ctx, opts)
}

// unseen notes what could not be read. A cluster without the kind has nothing of it.
func (s *Survey) unseen(what string, err error) {
	switch {
	case err == nil, apierrors.IsNotFound(err):
	case apierrors.IsForbidden(err):
		s.Unseen = append(s.Unseen, what+": this account may not list them")
	case errors.Is(err, context.DeadlineExceeded):
		s.Unseen = append(s.Unseen, what+": not in the time allowed")
	default:
		s.Unseen = append(s.Unseen, what+": "+err.Error())
	}
}

// readSide reads what both sides are asked for.
func (s *Survey) readSide(ctx context.Context, name string, client *kube.Client, side *Side) {
	side.Classes = map[string][]Class{}
	all := metav1.ListOptions{}
	add := func(kind, class string, annotations map[string]string) {
		isDefault := annotations["storageclass.kubernetes.io/is-default-class"] == "true" || annotations["ingressclass.kubernetes.io/is-default-class"] == "true"
		side.Classes[kind] = append(side.Classes[kind], Class{Name: class, Default: isDefault})
	}
	if list, err := client.Typed.StorageV1().StorageClasses().List(ctx, all); err != nil {
		s.unseen(name+"'s StorageClasses", err)
	} else {
		for _, c := range list.Items {
			add("StorageClass", c.Name, c.Annotations)
		}
	}
	if list, err := client.Typed.NetworkingV1().IngressClasses().List(ctx, all); err != nil {
		s.unseen(name+"'s IngressClasses", err)
	} else {
		for _, c := range list.Items {
			add("IngressClass", c.Name, c.Annotations)
		}
	}
	if list, err := client.Typed.SchedulingV1().PriorityClasses().List(ctx, all); err != nil {
		s.unseen(name+"'s PriorityClasses", err)
	} else {
		for _, c := range list.Items {
			add("PriorityClass", c.Name, nil)
		}
	}
	if list, err := client.Typed.NodeV1().RuntimeClasses().List(ctx, all); err != nil {
		s.unseen(name+"'s RuntimeClasses", err)
	} else {
		for _, c := range list.Items {
			add("RuntimeClass", c.Name, nil)
		}
	}
	if list, err := client.Typed.CoreV1().Nodes().List(ctx, all); err != nil {
		s.unseen(name+"'s nodes", err)
	} else {
		providers := map[string]bool{}
		for _, n := range list.Items {
			provider, _, _ := strings.Cut(n.Spec.ProviderID, ":")
			providers[provider] = true
		}
		side.Providers = sorted(providers)
	}
	if list, err := client.Typed.AppsV1().Deployments("").List(ctx, all); err != nil {
		s.unseen(name+"'s Deployments in all namespaces (one may write DNS records)", err)
	} else {
		for _, d := range list.Items {
			for _, c := range d.Spec.Template.Spec.Containers {
				if strings.Contains(c.Image, "external-dns") {
					side.DNSControllers = append(side.DNSControllers, "Deployment "+d.Namespace+"/"+d.Name)
				}
			}
		}
	}
}

// readBlue reads the namespaces that are to move.
func (s *Survey) readBlue(ctx context.Context, opts LookOptions) error {
	names := slices.Sorted(slices.Values(opts.Namespaces))
	if len(names) == 0 {
		list, err := opts.Blue.Typed.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return &Error{Op: "list blue's namespaces", Hint: "name those that are to move with --namespace", Err: err}
		}
		for _, ns := range list.Items {
			names = append(names, ns.Name)
		}
		slices.Sort(names)
	}
	for _, name := range slices.Compact(names) {
		if len(opts.Namespaces) > 0 {
			if _, err := opts.Blue.Typed.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
				return &Error{Op: "look at blue", Hint: "correct --namespace, or blue's context", Err: fmt.Errorf("it has no namespace %s", name)}
			}
		}
		ns := s.readNamespace(ctx, opts.Blue, name)
		switch {
		case len(ns.Workloads) == 0 && len(opts.Namespaces) == 0:
		case platform(name) && len(opts.Namespaces) == 0:
			s.PassedOver = append(s.PassedOver, name)
		default:
			s.Namespaces = append(s.Namespaces, ns)
		}
	}
	return nil
}

// platform reports whether a namespace belongs to the cluster rather than to an application.
func platform(name string) bool {
	return strings.HasPrefix(name, "kube-") || strings.HasPrefix(name, "openshift") || slices.Contains([]string{
		"cert-manager", "external-dns", "ingress-nginx", "traefik", "metallb-system", "local-path-storage", "calico-system", "tigera-operator",
		"cilium", "istio-system", "gatekeeper-system", "kyverno", "flux-system", "argocd", "velero", "monitoring",
	}, name)
}

// readNamespace reads everything of one namespace that the draft needs. Jobs that a CronJob made are that CronJob's.
func (s *Survey) readNamespace(ctx context.Context, client *kube.Client, name string) Namespace {
	ns := Namespace{Name: name, Claims: map[string]string{}, Settings: map[string]map[string]string{}, Secrets: map[string][]string{}}
	t, all := client.Typed, metav1.ListOptions{}
	in := " in namespace " + name
	if list, err := t.AppsV1().Deployments(name).List(ctx, all); err != nil {
		s.unseen("Deployments"+in, err)
	} else {
		ns.Workloads = append(ns.Workloads, convert(list.Items, deploymentOf)...)
	}
	if list, err := t.AppsV1().StatefulSets(name).List(ctx, all); err != nil {
		s.unseen("StatefulSets"+in, err)
	} else {
		ns.Workloads = append(ns.Workloads, convert(list.Items, statefulSetOf)...)
	}
	if list, err := t.AppsV1().DaemonSets(name).List(ctx, all); err != nil {
		s.unseen("DaemonSets"+in, err)
	} else {
		ns.Workloads = append(ns.Workloads, convert(list.Items, daemonSetOf)...)
	}
	if list, err := t.BatchV1().CronJobs(name).List(ctx, all); err != nil {
		s.unseen("CronJobs"+in, err)
	} else {
		ns.Workloads = append(ns.Workloads, convert(list.Items, cronJobOf)...)
	}
	if list, err := t.BatchV1().Jobs(name).List(ctx, all); err != nil {
		s.unseen("Jobs"+in, err)
	} else {
		for _, j := range list.Items {
			if len(j.OwnerReferences) == 0 && j.Status.CompletionTime == nil {
				ns.Workloads = append(ns.Workloads, jobOf(j))
			}
		}
	}
	s.readRest(ctx, client, &ns)
	return ns
}

func convert[A any, B any](in []A, one func(A) B) []B {
	out := make([]B, 0, len(in))
	for _, a := range in {
		out = append(out, one(a))
	}
	return out
}

// readRest reads what stands beside the workloads.
func (s *Survey) readRest(ctx context.Context, client *kube.Client, ns *Namespace) {
	t, all := client.Typed, metav1.ListOptions{}
	in := " in namespace " + ns.Name
	if list, err := t.CoreV1().Services(ns.Name).List(ctx, all); err != nil {
		s.unseen("Services"+in, err)
	} else {
		ns.Services = convert(list.Items, serviceOf)
	}
	if list, err := t.NetworkingV1().Ingresses(ns.Name).List(ctx, all); err != nil {
		s.unseen("Ingresses"+in, err)
	} else {
		ns.Ingresses = convert(list.Items, ingressOf)
	}
	if list, err := t.CoreV1().PersistentVolumeClaims(ns.Name).List(ctx, all); err != nil {
		s.unseen("claims"+in, err)
	} else {
		for _, c := range list.Items {
			ns.Claims[c.Name] = classOf(c.Spec)
		}
	}
	if list, err := t.CoreV1().ConfigMaps(ns.Name).List(ctx, all); err != nil {
		s.unseen("ConfigMaps"+in, err)
	} else {
		for _, c := range list.Items {
			ns.Settings[c.Name] = c.Data
		}
	}
	if list, err := t.CoreV1().Secrets(ns.Name).List(ctx, all); err != nil {
		s.unseen("Secrets"+in+" (the names of their keys)", err)
	} else {
		for i := range list.Items {
			ns.Secrets[list.Items[i].Name] = keyNames(&list.Items[i])
		}
	}
}

// keyNames keeps the names of a Secret's keys, and nothing of what they hold (I9).
func keyNames(secret *corev1.Secret) []string {
	names := slices.Sorted(maps.Keys(secret.Data))
	clear(secret.Data)
	return names
}

// lookUp asks the name servers for every hostname that blue's objects name, that was given, or that a Service may have in
// one of the zones.
func (s *Survey) lookUp(ctx context.Context, opts LookOptions) {
	if opts.Names == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Limit)
	defer cancel()
	for _, name := range slices.Concat(s.namedHosts(), opts.Hostnames) {
		s.ask(ctx, opts, name)
	}
	zones := map[string]bool{}
	for _, zone := range opts.Zones {
		zones[strings.TrimSuffix(strings.ToLower(zone), ".")] = true
	}
	for _, n := range s.Names {
		zones[n.Zone] = true
	}
	for _, zone := range sorted(zones) {
		for _, host := range s.likelyHosts(zone) {
			if _, known := s.Names[host]; known {
				continue
			}
			s.ask(ctx, opts, host)
			if n := s.Names[host]; !s.somebodysEntry(n) {
				delete(s.Names, host)
			}
		}
	}
	for _, name := range sortedKeys(s.Names) {
		if why := s.Names[name].Failed; why != "" {
			s.Unseen = append(s.Unseen, "the name "+name+": "+why)
		}
	}
}

func (s *Survey) ask(ctx context.Context, opts LookOptions, name string) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if _, known := s.Names[name]; known || name == "" {
		return
	}
	d, err := opts.Names.Discover(ctx, name, opts.From)
	n := Name{Zone: strings.TrimSuffix(d.SOA.Zone, ".")}
	n.ServerName, n.Server = primaryOf(d, opts.From.Servers)
	for i, link := range d.Chain {
		for _, set := range link.Sets {
			if set.Type == "CNAME" && i == 0 {
				n.Target = strings.TrimSuffix(set.Data[0], ".")
			}
			if set.Type != "CNAME" {
				n.Addresses = append(n.Addresses, addresses(set.Data)...)
			}
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		n.Failed = "the name servers did not answer in the time allowed"
	case err != nil:
		n.Failed = err.Error()
	}
	s.Names[name] = n
}

func addresses(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// primaryOf is the server that the zone's SOA names, at its address.
func primaryOf(d dnsx.Delegation, given []string) (name, addr string) {
	if len(given) > 0 {
		return "", given[0]
	}
	for _, server := range d.Servers {
		if server.Name == d.SOA.Primary && len(server.Addrs) > 0 {
			return strings.TrimSuffix(server.Name, "."), server.Addrs[0].String()
		}
	}
	return strings.TrimSuffix(d.SOA.Primary, "."), "" // its address is not the delegation's to tell
}

// namedHosts are the hostnames that blue's objects name, in order.
func (s *Survey) namedHosts() []string {
	hosts := map[string]bool{}
	for _, ns := range s.Namespaces {
		for _, svc := range ns.Services {
			for _, h := range annotatedHosts(svc.Annotations) {
				hosts[h] = true
			}
		}
		for _, ing := range ns.Ingresses {
			for _, r := range ing.Rules {
				hosts[r.Host] = true
			}
		}
	}
	return sorted(hosts)
}

// likelyHosts are names that a Service with an entry and without a name of its own may have in a zone.
func (s *Survey) likelyHosts(zone string) []string {
	hosts := map[string]bool{}
	for _, ns := range s.Namespaces {
		for _, svc := range ns.Services {
			if svc.outside() && len(annotatedHosts(svc.Annotations)) == 0 && zone != "" {
				hosts[svc.Name+"."+zone] = true
			}
		}
	}
	return sorted(hosts)
}

func (s *Survey) somebodysEntry(n Name) bool {
	for _, ns := range s.Namespaces {
		if slices.ContainsFunc(ns.Services, func(svc Service) bool { return svc.outside() && n.leadsTo(svc.Entry) }) {
			return true
		}
	}
	return false
}

const dnsHostname = "external-dns.alpha.kubernetes.io/hostname"

func annotatedHosts(annotations map[string]string) []string {
	var out []string
	for _, h := range strings.FieldsFunc(annotations[dnsHostname], func(r rune) bool { return r == ',' || r == ' ' }) {
		h = strings.TrimSuffix(strings.ToLower(h), ".")
		if h != "" && !strings.HasPrefix(h, "*") {
			out = append(out, h)
		}
	}
	return out
}
