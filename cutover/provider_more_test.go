package cutover_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/azuredns"
	"github.com/crossfade-project/crossfade/cutover/zone/azuredns/azurednsfake"
	"github.com/crossfade-project/crossfade/cutover/zone/cloudflare"
	"github.com/crossfade-project/crossfade/cutover/zone/cloudflare/cloudflarefake"
	"github.com/crossfade-project/crossfade/cutover/zone/filezone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// servedBy asks as a client of a zone's DNS would.
func servedBy(t *testing.T, query func(ctx context.Context, name, typ string) (zone.RRset, error)) func(name, typ string) dnsx.RRset {
	return func(name, typ string) dnsx.RRset {
		set, err := query(t.Context(), name, typ)
		if err != nil {
			return dnsx.RRset{Name: name, Type: typ}
		}
		return dnsx.RRset(set)
	}
}

// TestC18_AWholeCutoverAtAzureDNS: TTL, swap, return and restoring at the project's fake; nothing is left but the record, with
// the metadata of others.
func TestC18_AWholeCutoverAtAzureDNS(t *testing.T) {
	w := newWorld(t)
	fake, err := azurednsfake.New("apps.test.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	if err := fake.Put(cname(shopName, 300, "blue.lb.test.")); err != nil {
		t.Fatal(err)
	}
	if err := fake.Annotate(shopName, "CNAME", "owner", "shop"); err != nil {
		t.Fatal(err)
	}
	driver, err := azuredns.New(t.Context(), azuredns.Options{
		Apex: "apps.test.", Subscription: azurednsfake.Subscription, ResourceGroup: azurednsfake.ResourceGroup, Endpoint: fake.URL, Clock: w.clock,
		Credential: fake.Credential(), Transport: fake.Transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	wholeCutover(t, w, driver, servedBy(t, fake.Query))
	sets, err := fake.Sets()
	if meta := fake.Metadata(shopName, "CNAME"); err != nil || len(sets) != 3 || len(meta) != 1 || meta["owner"] != "shop" {
		t.Errorf("the zone is left with %+v, %v, and the record with %v", sets, err, meta)
	}
}

// TestC19_AWholeCutoverAtCloudflare is the same at the fake of Cloudflare, for a name that is not proxied.
func TestC19_AWholeCutoverAtCloudflare(t *testing.T) {
	w := newWorld(t)
	fake, err := cloudflarefake.New("apps.test.", w.clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	fake.MinTTL(10) // that of these tests
	id := fake.Add(cloudflarefake.Record{Name: shopName, Type: "CNAME", Content: "blue.lb.test", TTL: 300, Comment: "the shop"})
	driver, err := cloudflare.New(t.Context(), cloudflare.Options{Apex: "apps.test.", Token: cloudflarefake.Token, Endpoint: fake.URL, Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	wholeCutover(t, w, driver, servedBy(t, fake.Query))
	if got := fake.At(shopName); len(got) != 1 || got[0].ID != id || got[0].Comment != "the shop" || got[0].Proxied {
		t.Errorf("the record is left as %+v", got)
	}
	if left := fake.At("_crossfade-" + shopName); len(left) > 0 {
		t.Errorf("the fence is left: %+v", left)
	}
}

// TestAWholeCutoverInAFile is the same in a zone file, which is left as it was but for the serial and the line of the record.
func TestAWholeCutoverInAFile(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "db")
	const before = "$TTL 300\n@ IN SOA ns1 h 7 1 1 1 60 ; the zone\n\nmail MX 10 mx.test. ; not ours\nshop IN CNAME blue.lb.test. ; the shop\n"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	driver, err := filezone.New(filezone.Options{Apex: "apps.test.", Path: path})
	if err != nil {
		t.Fatal(err)
	}
	wholeCutover(t, w, driver, servedBy(t, driver.Lookup))
	after, err := os.ReadFile(path)
	want := strings.Replace(before, "shop IN CNAME", "shop.apps.test.\t300\tIN\tCNAME\t", 1)
	want = strings.Replace(want, "\t blue", "\tblue", 1)
	want = strings.Replace(want, "ns1 h 7 ", "ns1 h 13 ", 1)
	if err != nil || string(after) != want {
		t.Errorf("the file is left as\n%s\nwant\n%s", after, want)
	}
}
