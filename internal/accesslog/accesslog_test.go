package accesslog

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

func now() time.Time { return time.Date(2026, 11, 22, 10, 11, 12, 0, time.UTC) }

// The lines have the shapes that the controllers document (see doc.go); their values are made up.
func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		format Format
		fields Fields
		line   string
		want   Entry
	}{
		{
			"ingress-nginx", Nginx, Fields{},
			`198.51.100.7 - - [22/Nov/2026:10:11:12 +0000] "GET /cart?q=\"x\" HTTP/1.1" 200 612 "https://shop.example.org/" "curl/8.5 \"quoted\"" 94 0.003 [shop-web-80] [] 10.1.0.7:8080 612 0.003 200 5f0c`,
			Entry{At: now(), Client: netip.MustParseAddr("198.51.100.7"), Backend: "shop-web-80", Agent: `curl/8.5 \"quoted\"`, Status: 200},
		},
		{
			"ingress-nginx, as older ones name upstreams", Nginx, Fields{},
			`2001:db8::7 - ann [22/Nov/2026:11:11:12 +0100] "GET / HTTP/2.0" 404 0 "-" "-" 94 0.003 [upstream-default-backend] [] 127.0.0.1:8181 0 0.000 404 5f0c`,
			Entry{At: now(), Client: netip.MustParseAddr("2001:db8::7"), Backend: "default-backend", Agent: "-", Status: 404},
		},
		{
			"Envoy", Envoy, Fields{},
			`[2026-11-22T10:11:12.000Z] "GET /cart HTTP/1.1" 200 - 0 612 3 2 "198.51.100.7, 10.0.0.1" "curl/8.5" "0e7c" "Shop.Example.org:8443" "10.1.0.7:8080"`,
			Entry{At: now(), Client: netip.MustParseAddr("198.51.100.7"), Host: "shop.example.org", Agent: "curl/8.5", Status: 200},
		},
		{
			"Envoy, nobody told whom it came from", Envoy, Fields{},
			`[2026-11-22T10:11:12.000Z] "GET /cart HTTP/1.1" 503 UF 0 91 3 - "-" "-" "0e7c" "shop.example.org" "-"`,
			Entry{At: now(), Host: "shop.example.org", Agent: "-", Status: 503},
		},
		{
			"Envoy as JSON", Envoy, Fields{},
			`{"start_time":"2026-11-22T10:11:12.000Z","method":"GET",":authority":"shop.example.org","x-forwarded-for":"198.51.100.7","user-agent":"curl/8.5","response_code":200,"route_name":"httproute/shop/web/rule/0"}`,
			Entry{At: now(), Client: netip.MustParseAddr("198.51.100.7"), Host: "shop.example.org", Backend: "httproute/shop/web/rule/0", Agent: "curl/8.5", Status: 200},
		},
		{
			"Traefik", Traefik, Fields{},
			`198.51.100.7 - - [22/Nov/2026:10:11:12 +0000] "GET /cart HTTP/1.1" 200 612 "-" "curl/8.5" 17 "shop-web-shop-example-org@kubernetes" "http://10.1.0.7:8080" 3ms`,
			Entry{At: now(), Client: netip.MustParseAddr("198.51.100.7"), Backend: "shop-web-shop-example-org@kubernetes", Agent: "curl/8.5", Status: 200},
		},
		{
			"Traefik, a request that no router took", Traefik, Fields{},
			`198.51.100.7 - - [22/Nov/2026:10:11:12 +0000] "GET /cart HTTP/1.1" 404 19 "-" "-" 18 "-" "-" 0ms`,
			Entry{At: now(), Client: netip.MustParseAddr("198.51.100.7"), Agent: "-", Status: 404},
		},
		{
			"Traefik as JSON", Traefik, Fields{},
			`{"ClientHost":"198.51.100.7","DownstreamStatus":200,"RequestHost":"shop.example.org","RouterName":"shop@kubernetes","StartUTC":"2026-11-22T10:11:12Z","level":"info","msg":"","time":"2026-11-22T10:11:12Z"}`,
			Entry{At: now(), Client: netip.MustParseAddr("198.51.100.7"), Host: "shop.example.org", Backend: "shop@kubernetes", Status: 200},
		},
		{
			"JSON of the user's own", JSON, Fields{Time: "t", Host: "http.host", Client: "peer", Status: "code"},
			`{"t":1795342272.0,"http":{"host":"shop.example.org."},"peer":"198.51.100.7:4711","code":"200"}`,
			Entry{At: now(), Client: netip.MustParseAddr("198.51.100.7"), Host: "shop.example.org", Status: 200},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.format, tt.fields, tt.line)
			if err != nil {
				t.Fatal(err)
			}
			if !got.At.Equal(tt.want.At) {
				t.Errorf("at %s, want %s", got.At, tt.want.At)
			}
			got.At = tt.want.At
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// A line that nobody can read is not taken for one that tells of nothing (I8).
func TestI08_ALineThatCannotBeReadIsNoSilence(t *testing.T) {
	for _, tt := range []struct {
		name   string
		format Format
		line   string
		want   error
	}{
		{"nothing", Nginx, "  ", ErrOther},
		{"klog", Nginx, "I1122 10:11:12.000000       7 controller.go:190] Configuration changes detected", ErrOther},
		{"nginx's errors", Nginx, "2026/11/22 10:11:12 [error] 27#27: *1 connect() failed", ErrOther},
		{"Envoy itself", Envoy, "[2026-11-22 10:11:12.000][1][info][main] [source/server/server.cc:978] starting main dispatch loop", ErrOther},
		{"Traefik itself", Traefik, `time="2026-11-22T10:11:12Z" level=info msg="Configuration loaded"`, ErrOther},
		{"Traefik itself, for people", Traefik, "2026-11-22T10:11:12Z INF Traefik version 3.3.0 built", ErrOther},
		{"Traefik itself, JSON", Traefik, `{"level":"info","time":"2026-11-22T10:11:12Z","message":"Configuration loaded"}`, ErrOther},
		{"another format", Nginx, `shop.example.org 198.51.100.7 "GET / HTTP/1.1" 200`, ErrUnreadable},
		{"a time of another form", Nginx, `198.51.100.7 - - [2026-11-22T10:11:12Z] "GET / HTTP/1.1" 200 1 "-" "-" 94 0.003 [a] [] 10.1.0.7:80 1 0.003 200 5f`, ErrUnreadable},
		{"cut off", Envoy, `[2026-11-22T10:11:12.000Z] "GET /cart HTT`, ErrUnreadable},
		{"JSON whose fields nobody named", Nginx, `{"host":"shop.example.org"}`, ErrUnreadable},
		{"JSON cut off", Traefik, `{"RequestHost":"shop.exam`, ErrUnreadable},
		{"JSON without a time", Traefik, `{"RequestHost":"shop.example.org"}`, ErrUnreadable},
		{"text where JSON was said", JSON, "GET /", ErrUnreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := Parse(tt.format, Fields{}, tt.line); !errors.Is(err, tt.want) {
				t.Errorf("%+v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ingress-nginx", `1.2.3.4 - - [22/Nov/2026:10:11:12 +0000] "GET / HTTP/1.1" 200 1 "-" "a\"b" 94 0.003 [a] [] 10.1.0.7:80 1 0.003 200 5f`)
	f.Add("envoy", `[2026-11-22T10:11:12.000Z] "GET /cart HTTP/1.1" 200 - 0 612 3 2 "-" "-" "0e7c" "shop" "-"`)
	f.Add("traefik", `{"RequestHost":"shop","StartUTC":"2026-11-22T10:11:12Z"}`)
	f.Fuzz(func(t *testing.T, format, line string) {
		e, err := Parse(Format(format), Fields{}, line)
		if err == nil && e.At.IsZero() && e.Host == "" && e.Backend == "" && e.Status == 0 {
			t.Errorf("%q is read as a request of which nothing is known", line)
		}
		if err != nil && !errors.Is(err, ErrOther) && !errors.Is(err, ErrUnreadable) {
			t.Error(err)
		}
	})
}
