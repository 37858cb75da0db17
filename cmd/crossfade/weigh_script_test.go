package main

import (
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crossfade-project/crossfade/cutover/zone/route53/route53fake"
)

// keyWeighing holds the fake of a provider that answers by weight.
const keyWeighing valueKey = "weighing"

// weighing is the project's fake of Route 53, with a name server before it.
type weighing struct {
	*route53fake.Server
	apex string
}

// cmdWeighing starts the fake of Route 53, with the zone $WEIGH_ZONE, and a name server that answers what it serves: weighing.
// $ROUTE53 is its endpoint, $WEIGH_DNS the name server, $WEIGH_HOST a name that leads to blue.
func cmdWeighing(ts *testscript.TestScript, _ bool, _ []string) {
	w := &weighing{apex: ts.Getenv("NS") + ".weigh.test.", Server: route53fake.New(route53fake.Options{})}
	w.AddZone("Z1", w.apex, false)
	host := "shop." + w.apex
	ttl := int64(2)
	put := func(name, typ, value string) {
		w.Put("Z1", route53fake.RecordSet{Name: name, Type: typ, TTL: &ttl, Records: route53fake.Records(value)})
	}
	put(host, "CNAME", "blue."+w.apex)
	put("blue."+w.apex, "A", ts.Getenv("BLUE_IP"))
	put("green."+w.apex, "A", ts.Getenv("GREEN_IP"))
	api := httptest.NewServer(w.Server)
	ts.Defer(api.Close)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	names := &dns.Server{Listener: listener, Handler: w}
	ended := make(chan error, 1)
	go func() { ended <- names.ActivateAndServe() }()
	ts.Defer(func() {
		_ = names.Shutdown() // it ends with the test in any case
		<-ended
	})
	ts.Setenv("ROUTE53", api.URL)
	ts.Setenv("WEIGH_ZONE", strings.TrimSuffix(w.apex, "."))
	ts.Setenv("WEIGH_HOST", strings.TrimSuffix(host, "."))
	ts.Setenv("WEIGH_DNS", listener.Addr().String())
	testValues(ts)[keyWeighing] = w
}

// testValues are what the commands of one script share.
func testValues(ts *testscript.TestScript) map[valueKey]any {
	all, ok := ts.Value(keyShared).(map[valueKey]any)
	if !ok {
		ts.Fatalf("the script has no shared values")
	}
	return all
}

// ServeDNS answers what the fake serves, and follows a CNAME within the zone as a resolver would.
func (w *weighing) ServeDNS(out dns.ResponseWriter, m *dns.Msg) {
	reply := new(dns.Msg).SetReply(m)
	reply.Authoritative = true
	name, typ := strings.ToLower(m.Question[0].Name), dns.TypeToString[m.Question[0].Qtype]
	if !dns.IsSubDomain(w.apex, name) {
		reply.Rcode = dns.RcodeRefused
	} else {
		w.answer(reply, name, typ)
		if to := cnameOf(reply); to != "" && typ != "CNAME" && m.RecursionDesired {
			w.answer(reply, to, typ)
		}
	}
	_ = out.WriteMsg(reply) // who asked is gone: nothing to tell it
}

func (w *weighing) answer(reply *dns.Msg, name, typ string) {
	for _, t := range []string{"CNAME", typ} {
		set, ok := w.Served("Z1", name, t)
		if !ok || t == "CNAME" && len(reply.Answer) > 0 {
			continue
		}
		for _, value := range set.Values() {
			rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", name, *set.TTL, t, value))
			if err == nil {
				reply.Answer = append(reply.Answer, rr)
			}
		}
		return
	}
	if soa, ok := w.Served("Z1", w.apex, "SOA"); ok {
		if rr, err := dns.NewRR(fmt.Sprintf("%s %d IN SOA %s", w.apex, *soa.TTL, soa.Values()[0])); err == nil {
			reply.Ns = append(reply.Ns, rr)
		}
	}
}

func cnameOf(reply *dns.Msg) string {
	for _, rr := range reply.Answer {
		if c, ok := rr.(*dns.CNAME); ok {
			return c.Target
		}
	}
	return ""
}

// cmdWeights demands what the provider holds at $WEIGH_HOST: weights 0 is blue alone, weights 100 green alone, weights 25 both, with these
// weights and nothing else.
func cmdWeights(ts *testscript.TestScript, _ bool, args []string) {
	w, ok := testValues(ts)[keyWeighing].(*weighing)
	if !ok || len(args) != 1 {
		ts.Fatalf("usage, after weighing: weights PERCENT")
	}
	share, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	var got []string
	for _, set := range w.Sets("Z1") {
		if set.Name != ts.Getenv("WEIGH_HOST")+"." {
			continue
		}
		text := strings.Join(set.Values(), " ")
		if set.Weight != nil {
			text += fmt.Sprint(" ", *set.Weight)
		}
		got = append(got, text)
	}
	slices.Sort(got)
	var want []string
	switch share {
	case 0:
		want = []string{"blue." + w.apex}
	case 100:
		want = []string{"green." + w.apex}
	default:
		want = []string{fmt.Sprintf("blue.%s %d", w.apex, 100-share), fmt.Sprintf("green.%s %d", w.apex, share)}
	}
	if !slices.Equal(got, want) {
		ts.Fatalf("the provider holds %q, want %q", got, want)
	}
}

// cmdFences demands how many fences the provider holds.
func cmdFences(ts *testscript.TestScript, _ bool, args []string) {
	w, ok := testValues(ts)[keyWeighing].(*weighing)
	if !ok || len(args) != 1 {
		ts.Fatalf("usage, after weighing: fences NUMBER")
	}
	n := 0
	for _, set := range w.Sets("Z1") {
		if strings.HasPrefix(set.Name, "_crossfade") {
			n++
		}
	}
	if strconv.Itoa(n) != args[0] {
		ts.Fatalf("the provider holds %d fences, want %s", n, args[0])
	}
}
