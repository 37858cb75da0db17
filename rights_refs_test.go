package crossfade

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Every Secret that a check or a notification refers to is among the rights that are asked for and printed.
func TestSecretsOfChecksAndNotificationsAreRights(t *testing.T) {
	ref := func(name string) string { return "{secret: {side: blue, namespace: n, name: " + name + ", key: k}}" }
	text := strings.Replace(named, "checks: [{name: page, http: {path: /}}]", `checks:
      - {name: page, http: {path: /, secretHeaders: {Authorization: `+ref("header")+`}}}
      - {name: speed, probes: {http: {path: /, secretHeaders: {Cookie: `+ref("cookie")+`}}, errors: 0.1}}
      - {name: errors, prometheus: {url: "https://p", query: q, max: 1, token: `+ref("token")+`}}
      - {name: others, prometheus: {url: "https://p", query: q, max: 1, username: u, password: `+ref("password")+`}}`, 1)
	text += "notifications: [{name: ops, webhook: {urlFrom: " + ref("url") + ", secret: " + ref("signing") + "}}]\n"
	var got []string
	for _, r := range Inspect(load(t, text), Options{}).secretRights() {
		got = append(got, r.Names...)
	}
	slices.Sort(got)
	if want := []string{"cookie", "header", "password", "signing", "token", "url"}; !slices.Equal(got, want) {
		t.Errorf("rights to read %v, want %v", got, want)
	}
}

// No name of an application moves, and no further application is frozen, before the soak of the one before is over: whatever waves
// and shared buckets there are. A failure then costs one application, or those of one turn.
func TestC23_NothingFollowsASwapBeforeItsSoak(t *testing.T) {
	app := func(name, wave, bucket string) string {
		return "  - {name: " + name + ", namespace: n, wave: " + wave + ", writes: none, buckets: [" + bucket + "], hostnames: [{name: " + name +
			".apps.test, blue: {target: b.test}, green: {target: g.test}}], checks: [{name: page, http: {path: /}}]}\n"
	}
	text := head + "stores: {disk: {provider: file}}\nbuckets:\n  - {name: x, from: {store: disk, bucket: a}, to: {store: disk, bucket: b}}\n  - {name: y, from: {store: disk, bucket: c}, to: {store: disk, bucket: d}}\n" +
		"zones: [{name: apps.test, rfc2136: {server: \"127.0.0.1:53\", key: k, secret: {env: K}}}]\napplications:\n" +
		app("late", "2", "y") + app("a", "1", "x") + app("b", "1", "x") + app("c", "1", "y2")
	text = strings.Replace(text, "buckets: [y2]", "buckets: []", 1)
	open, swaps := "", 0
	for _, name := range names(Inspect(load(t, text), Options{}).pipeline()) {
		kind, app, _ := strings.Cut(name, "/")
		switch {
		case open != "" && (kind == "swap" || kind == "freeze"):
			t.Errorf("%s comes before the soak of %s", name, open)
		case kind == "swap":
			open, swaps = app, swaps+1
		case kind == "soak" && app == open:
			open = ""
		}
	}
	if swaps != 4 || open != "" {
		t.Errorf("%d swaps, and the soak of %q is missing", swaps, open)
	}
}

// Doctor asks each query, and says what Prometheus says of it.
func TestDoctorAsksTheQueriesOfGates(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("query") == "good" {
			_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`))
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"status":"error","errorType":"bad_data","error":"parse error"}`))
	}))
	t.Cleanup(server.Close)
	if list := Inspect(load(t, named), Options{}).gateChecks(); len(list) != 0 {
		t.Errorf("without a query there are %d checks", len(list))
	}
	for query, problems := range map[string]int{"good": 0, "bad(": 1} {
		text := strings.Replace(named, "checks: [{name: page, http: {path: /}}]", `checks: [{name: page, http: {path: /}}, {name: errors, prometheus: {url: "`+server.URL+`", query: "`+query+`", max: 1}}]`, 1)
		var f Finding
		Inspect(load(t, text), Options{}).gateChecks()[0].do(t.Context(), &f)
		if len(f.Problems) != problems || problems > 0 && !strings.Contains(f.Problems[0].Why, "bad_data") {
			t.Errorf("%s: %+v", query, f)
		}
	}
}
