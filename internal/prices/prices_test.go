package prices

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestI08_AStoreWithoutAPriceIsNotFree(t *testing.T) {
	table, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	counts := Counts{Requests: map[Kind]int64{Get: 1000}, Egress: GB}
	for _, s := range []Store{
		{Provider: "minio", Endpoint: "https://minio.example.org"},
		{Provider: "s3", Endpoint: "https://s3.example.org"},
		{Provider: "s3", Endpoint: "https://amazonaws.com.example.org"},
		{Provider: "minio"},
	} {
		e := table.Estimate(s, counts)
		if e.Entry != nil || e.Complete() || !strings.Contains(e.String(), "no price known") || strings.Contains(e.String(), "0 USD") {
			t.Errorf("%+v: %s", s, e)
		}
	}
	half, err := parse("half", []byte("format: 1\ndate: 2026-01-02\ncurrency: EUR\nprices: [{of: x, provider: s3, source: page, date: 2026-01-02, requests: {get: 1}}]"))
	if err != nil {
		t.Fatal(err)
	}
	e := half.Estimate(Store{Provider: "s3"}, counts)
	if e.Complete() || e.Cost != 1 || !strings.Contains(e.String(), "no price known of bytes that leave it") {
		t.Errorf("%s", e)
	}
}

func TestTheArithmetic(t *testing.T) {
	table, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Store{{Provider: "s3"}, {Provider: "s3", Endpoint: "https://s3.eu-west-1.amazonaws.com", Region: "eu-west-1"}} {
		e := table.Estimate(s, Counts{Requests: map[Kind]int64{List: 2000, Get: 5000, Put: 1000, Delete: 7}, Egress: 10 * GB})
		if want := 2*0.005 + 5*0.0004 + 0.005 + 0.9; math.Abs(e.Cost-want) > 1e-9 || !e.Complete() {
			t.Errorf("%+v: %v, want %v", s, e, want)
		}
		if !strings.HasPrefix(e.String(), "estimate 0.9170 USD (Amazon S3 Standard, us-east-1, prices of 2026-") {
			t.Errorf("%s", e)
		}
	}
	glacier := table.Find(Store{Provider: "s3"}).Retrieval("glacier")
	if len(glacier) != 3 || math.Abs(glacier[0].Cost(2000, 100*GB)-1.1) > 1e-9 {
		t.Errorf("%+v", glacier)
	}
	if got := table.Find(Store{Provider: "s3"}).Retrieval("NEW_CLASS"); got != nil {
		t.Errorf("a class that nobody knows costs %+v", got)
	}
}

func TestATableOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "prices.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(Text(), "prices:\n", "prices:\n  - {of: ours, hosts: ['*.example.org'], regions: [here], source: the contract, date: 2026-02-03, requests: {get: 0.1}, egress: 0}\n", 1))
	table, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if e := table.Find(Store{Provider: "minio", Endpoint: "http://minio.example.org:9000", Region: "here"}); e == nil || e.Of != "ours" {
		t.Errorf("got %+v", e)
	}
	if e := table.Find(Store{Provider: "minio", Endpoint: "http://minio.example.org:9000", Region: "there"}); e != nil {
		t.Errorf("another region got %+v", e)
	}
	for text, want := range map[string]string{
		"format: 2\ndate: 2026-01-01\ncurrency: USD": "this program reads format 1",
		"format: 1\ncurrency: USD":                   "date is",
		"format: 1\ndate: 2026-01-01":                "currency is missing",
		"format: 1\ndate: 2026-01-01\ncurrency: USD\nprices: [{of: x, provider: s3, source: p, date: 2026-01-01, requests: {get: -1}}]": "not below 0",
		"format: 1\ndate: 2026-01-01\ncurrency: USD\nprices: [{of: x, provider: s3, source: p, date: 2026-01-01, requests: {gte: 1}}]":  `no kind "gte"`,
		"format: 1\ndate: 2026-01-01\ncurrency: USD\nprices: [{of: x, provider: s3, date: 2026-01-01}]":                                 "source is missing",
		"format: 1\ndate: 2026-01-01\ncurrency: USD\nprices: [{of: x, source: p, date: 2026-01-01}]":                                    "neither a provider nor hosts",
		"format: 1\ndate: 2026-01-01\ncurrency: USD\npricse: []":                                                                        "pricse",
	} {
		write(text)
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if _, err := Read(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "--print-prices") {
		t.Errorf("got %v", err)
	}
}
