package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns"
	"github.com/crossfade-project/crossfade/cutover/zone/route53/route53fake"
	"github.com/crossfade-project/crossfade/internal/clock"
)

// TestC16_ZonesOfOneRunShareTheRate: what the file says of a hosted zone reaches its driver, and two zones of one account are asked at
// one account's rate.
func TestC16_ZonesOfOneRunShareTheRate(t *testing.T) {
	time0 := clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	fake := route53fake.New(route53fake.Options{Keys: []string{"AKIDTEST"}, Clock: time0})
	ttl := int64(60)
	fake.AddZone("Z1", "apps.test.", true)
	fake.AddZone("Z2", "other.test.", false)
	for id, name := range map[string]string{"Z1": "shop.apps.test.", "Z2": "shop.other.test."} {
		fake.Put(id, route53fake.RecordSet{Name: name, Type: "CNAME", TTL: &ttl, Records: route53fake.Records("blue.lb.test.")})
	}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	var drivers zoneDrivers
	open := func(name, id string, private bool) zone.Zone {
		z, err := drivers.open(t.Context(), crossfade.ZoneConfig{Name: name, Clock: time0, Route53: &crossfade.Route53Zone{
			HostedZone: id, Private: private, Region: "eu-west-1", Endpoint: server.URL, AccessKey: "AKIDTEST", SecretKey: "secret",
		}})
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	zones := []zone.Zone{open("apps.test", "", true), open("other.test", "Z2", false)}
	began := time0.Now()
	for range 5 {
		for _, z := range zones {
			if set, err := z.Lookup(t.Context(), "shop."+z.Apex(), "CNAME"); err != nil || set.Data[0] != "blue.lb.test." {
				t.Fatalf("got %v, %v", set, err)
			}
		}
	}
	if took := time0.Now().Sub(began); took < 2*time.Second {
		t.Errorf("twelve requests of two zones took %s", took)
	}
}

// TestC17_TheFilesServiceAccountReachesItsDriver: with it a driver is opened; a broken one is refused without being repeated.
func TestC17_TheFilesServiceAccountReachesItsDriver(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "dns@p.test", "token_uri": "http://127.0.0.1:1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	var drivers zoneDrivers
	config := crossfade.ZoneConfig{Name: "apps.test", CloudDNS: &crossfade.CloudDNSZone{Project: "p", ManagedZone: "m", ServiceAccount: string(key)}}
	z, err := drivers.open(t.Context(), config)
	if _, ok := z.(*clouddns.Driver); !ok || err != nil || z.Apex() != "apps.test." {
		t.Errorf("got %T, %v", z, err)
	}
	config.CloudDNS.ServiceAccount = "{sesame"
	if _, err := drivers.open(t.Context(), config); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("a broken key: %v", err)
	}
	if _, err := drivers.open(t.Context(), crossfade.ZoneConfig{Name: "apps.test"}); err == nil {
		t.Error("a zone that nobody changes was opened")
	}
}
