package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/azuredns"
	"github.com/crossfade-project/crossfade/cutover/zone/cloudflare/cloudflarefake"
	"github.com/crossfade-project/crossfade/internal/clock"
)

// TestC18_TheFilesGapReachesItsDriver: what the file says of Azure DNS reaches the driver, its gap too.
func TestC18_TheFilesGapReachesItsDriver(t *testing.T) {
	across := zone.Change{
		Name: "shop.apps.test.",
		Old:  []zone.RRset{{Name: "shop.apps.test.", Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}},
		New:  []zone.RRset{{Name: "shop.apps.test.", Type: "CNAME", TTL: 60, Data: []string{"green.lb.test."}}},
	}
	var drivers zoneDrivers
	for gap, refused := range map[time.Duration]bool{0: true, 10 * time.Second: false} {
		z, err := drivers.open(t.Context(), crossfade.ZoneConfig{Name: "apps.test", AzureDNS: &crossfade.AzureDNSZone{
			Subscription: "s", ResourceGroup: "g", Tenant: "00000000-0000-0000-0000-000000000001", Client: "c", Secret: "x", Gap: gap,
		}})
		if _, ok := z.(*azuredns.Driver); !ok || err != nil || z.Apex() != "apps.test." {
			t.Fatalf("got %T, %v", z, err)
		}
		if err := zone.Judge(z, across); errors.Is(err, zone.ErrInvalid) != refused {
			t.Errorf("with a gap of %s: %v", gap, err)
		}
	}
	if _, err := drivers.open(t.Context(), crossfade.ZoneConfig{Name: "apps.test", AzureDNS: &crossfade.AzureDNSZone{Subscription: "s", ResourceGroup: "g", Client: "c"}}); err == nil {
		t.Error("a client without tenant and secret was taken")
	}
}

// TestC19_ZonesOfOneUserShareTheLimit: two Cloudflare zones of one run together stay within what one user may send.
func TestC19_ZonesOfOneUserShareTheLimit(t *testing.T) {
	watch := clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	fake, err := cloudflarefake.New("apps.test", watch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	if err := fake.Put(zone.RRset{Name: "shop.apps.test.", Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}); err != nil {
		t.Fatal(err)
	}
	var drivers zoneDrivers
	var zones []zone.Zone
	for _, id := range []string{"", cloudflarefake.ZoneID} {
		z, err := drivers.open(t.Context(), crossfade.ZoneConfig{Name: "apps.test", Clock: watch, Cloudflare: &crossfade.CloudflareZone{
			ZoneID: id, Token: cloudflarefake.Token, Endpoint: fake.URL,
		}})
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, z)
	}
	for range 700 {
		for _, z := range zones {
			if _, err := z.Lookup(t.Context(), "shop.apps.test.", "A"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, slept := range watch.Slept() {
		if slept >= time.Minute {
			t.Errorf("the user was blocked, and waited %s", slept)
		}
	}
}

// TestAZoneOfAFileReachesItsDriver: the path of the file, and nothing else, opens it.
func TestAZoneOfAFileReachesItsDriver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, []byte("@ 60 IN SOA ns h 1 1 1 1 1\nshop 60 IN A 192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var drivers zoneDrivers
	z, err := drivers.open(t.Context(), crossfade.ZoneConfig{Name: "apps.test", File: &crossfade.FileZone{Path: path}})
	if err != nil {
		t.Fatal(err)
	}
	if set, err := z.Lookup(t.Context(), "shop.apps.test.", "A"); err != nil || set.Data[0] != "192.0.2.1" {
		t.Errorf("got %v, %v", set, err)
	}
}
