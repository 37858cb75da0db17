package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// A form is what trials of one sort have in common.
type form struct {
	// file and objects are the templates of the migration file, and of what is on blue.
	file, objects string
	apps          []string
	// jobs is what ends the name of a side's second namespace, where it has one.
	jobs map[string]string
	// buckets of the store, without what is the trial's and the side's.
	buckets []string
	// kinds of objects that fingerprints hold; nil are all.
	kinds []string
	hosts []hostOf
	// oneCluster says that green is a namespace of blue's cluster. Then an Ingress of blue's keeps one more name, of the application api, whose
	// backend is switched, and a canary shares out the requests of split; and external-dns runs on blue, and is paused.
	oneCluster bool
	// foreign are records that no migration may touch.
	foreign func(*Trial) []dnsx.Record
	// oldHosts says that one application forwards, and that blue is browned out.
	oldHosts bool
	// write adds to the trial's folder.
	write func(*Trial) error
}

// whole has a little of everything that a migration moves.
func whole() form {
	return form{
		file: "testdata/migration.yaml", objects: "testdata/objects.yaml", apps: []string{"web", "shop", "clock"},
		jobs: map[string]string{"blue": "jobs", "green": "tasks"}, buckets: []string{"shop", "clock"},
		hosts:   []hostOf{{app: "web", label: "web"}, {app: "shop", label: "shop"}},
		foreign: func(*Trial) []dnsx.Record { return nil },
		write:   func(*Trial) error { return nil },
	}
}

// NewCutover makes a trial that has little to copy and much to cut over: three waves, of which the second must be approved and the third
// is approved by gates; an application with several names, one with addresses at its name, one that external-dns keeps, one that
// is frozen and has a bucket, one for which green has only an address; and around them records that are none of its business. Break lets it fail in a soak.
func (w *World) NewCutover(ctx context.Context, name string) (*Trial, error) {
	return w.make(ctx, name, Places{}, form{
		file: "testdata/cutover.yaml", objects: "testdata/cutover-objects.yaml", apps: []string{"front", "plain", "kept", "shop", "last"},
		kinds: []string{"configmaps", "deployments.apps", "leases.coordination.k8s.io", "services", "secrets"},
		hosts: []hostOf{
			{app: "front", label: "www"}, {app: "front", label: "front"}, {app: "front", label: "old-front"}, {app: "plain", label: "plain", plain: true},
			{app: "kept", label: "kept", kept: true}, {app: "shop", label: "shop"}, {app: "shop", label: "api"}, {app: "last", label: "last", made: true},
		},
		foreign: others, write: writeShop,
	})
}

// NewEntries makes a trial in one cluster, which has what two cannot: a name whose backend is switched at blue's Ingress. Others move
// in the DNS, one of them after half of its requests went to green by a canary there; and an external-dns is paused meanwhile.
func (w *World) NewEntries(ctx context.Context, name string) (*Trial, error) {
	return w.make(ctx, name, Places{}, form{
		file: "testdata/entries.yaml", objects: "testdata/entries-objects.yaml", apps: []string{"web", "split", "api"}, oneCluster: true,
		kinds: []string{"configmaps", "deployments.apps", "ingresses.networking.k8s.io", "leases.coordination.k8s.io", "services"},
		hosts: []hostOf{{app: "web", label: "web"}, {app: "web", label: "www", made: true}, {app: "split", label: "split"}}, foreign: others,
		write: func(*Trial) error { return nil },
	})
}

// others are what stands around the names of a cutover.
func others(t *Trial) []dnsx.Record {
	at := func(label, typ, data string) dnsx.Record {
		return dnsx.Record{Name: label + "." + t.Name + "." + Zone, Type: typ, TTL: 77, Data: data}
	}
	return []dnsx.Record{
		at("plain", "TXT", `"v=spf1 -all"`), at("plain", "MX", "10 mail.example."), at("*", "TXT", `"anything"`), at("*", "A", "192.0.2.99"), at("other", "A", "192.0.2.9"),
		at("other", "AAAA", "2001:db8::9"), at("to-other", "CNAME", "other."+t.Name+"."+Zone),
		at("cname-other", "TXT", `"heritage=external-dns,external-dns/owner=third,external-dns/resource=ingress/a/b"`),
	}
}

const (
	// brokenFile is there while the shop's users fail in its soak.
	brokenFile = "broken"
	// writtenKey is what they have written to green by then.
	writtenKey = "written"
)

// usersOfShop is a check. In the soak its users write something once, and fail where they are to. A soak is over for it when the shop
// has returned.
const usersOfShop = `soaks=$(grep -c '"kind":"planned","stage":"soak/shop"' state/journal.jsonl)
returns=$(grep -c '"kind":"noted","stage":"returned"' state/journal.jsonl)
test "$soaks" -gt "$returns" || exit 0
test -e green-data/` + writtenKey + ` || echo "written on green" > green-data/` + writtenKey + `
test ! -e ` + brokenFile + `
`

func writeShop(t *Trial) error {
	blue := filepath.Join(t.Dir, "blue-data")
	if err := os.MkdirAll(blue, 0o700); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(blue, "before"), []byte("before\n"), 0o600),
		os.WriteFile(filepath.Join(t.Dir, "users.sh"), []byte(usersOfShop), 0o600),
	)
}

// Break lets the shop's users fail in its soak from now on; Mend ends that.
func (t *Trial) Break() error {
	return os.WriteFile(filepath.Join(t.Dir, brokenFile), nil, 0o600)
}

// Mend ends what Break began.
func (t *Trial) Mend() error { return os.Remove(filepath.Join(t.Dir, brokenFile)) }

// Kept says what is wrong with the files of both sides' folders, on the side that serves the shop: what was there before, and
// whatever its users have written to green. A trial without the shop has none.
func (t *Trial) Kept(side string) error {
	if !slices.Contains(t.form.apps, "shop") {
		return nil
	}
	dir := filepath.Join(t.Dir, side+"-data")
	var errs []error
	if raw, err := os.ReadFile(filepath.Join(dir, "before")); err != nil || string(raw) != "before\n" {
		errs = append(errs, fmt.Errorf("%s has lost what was there before: %q, %w", side, raw, err))
	}
	on, err := os.ReadFile(filepath.Join(t.Dir, "green-data", writtenKey))
	if errors.Is(err, os.ErrNotExist) {
		return errors.Join(errs...)
	}
	if raw, lost := os.ReadFile(filepath.Join(dir, writtenKey)); lost != nil || string(raw) != string(on) {
		errs = append(errs, fmt.Errorf("%s has not what users wrote to green: %q, %w", side, raw, lost))
	}
	return errors.Join(append(errs, err)...)
}
