package s3page

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`

func TestParseReadsWhatStoresWrite(t *testing.T) {
	raw := head + `
  <Name>shop</Name><Prefix/><KeyCount>3</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated><!-- a note -->
  <Contents><Key>a+b%2Bc/d%C3%BC</Key><LastModified>2026-02-03T04:05:06.789Z</LastModified><ETag>&quot;e1-2&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>
    <Owner><ID>1</ID><DisplayName>x</DisplayName></Owner><Size>12</Size><StorageClass>STANDARD</StorageClass></Contents>
  <Contents><ETag>"e2"</ETag><Size>0</Size><Key></Key></Contents>
  <Contents><Size>9223372036854775807</Size><RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>2026-12-01T00:00:00Z</RestoreExpiryDate></RestoreStatus><StorageClass>GLACIER</StorageClass><Key>z&amp;&#x3c;&#233;</Key><LastModified>2026-02-29T04:05:06+01:00</LastModified></Contents>
  <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes><NextContinuationToken>t&lt;1&gt;</NextContinuationToken><EncodingType>url</EncodingType></ListBucketResult>`
	if _, err := Parse([]byte(raw)); !errors.Is(err, errNoPage) {
		t.Errorf("a 29th of February that is none gives %v", err)
	}
	page, err := Parse([]byte(strings.ReplaceAll(raw, "2026-02-29", "2024-02-29")))
	if err != nil {
		t.Fatal(err)
	}
	want := []bucket.Object{
		{Key: "a b+c/dü", Size: 12, ETag: "e1-2", Modified: time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)},
		{ETag: "e2"},
		{Key: "z&<é", Size: 1<<63 - 1, Modified: time.Date(2024, 2, 29, 3, 5, 6, 0, time.UTC)},
	}
	if page.Name != "shop" || !page.More || page.Next != "t<1>" || len(page.Objects) != len(want) {
		t.Fatalf("%+v", page)
	}
	if want := (map[int]Class{2: {Name: "GLACIER", Restored: true}}); fmt.Sprint(page.Classes) != fmt.Sprint(want) {
		t.Errorf("classes %v, want %v", page.Classes, want)
	}
	for i, o := range page.Objects {
		if !o.Modified.Equal(want[i].Modified) {
			t.Errorf("%q was changed at %v", o.Key, o.Modified)
		}
		o.Modified, want[i].Modified = time.Time{}, time.Time{}
		if fmt.Sprint(o) != fmt.Sprint(want[i]) {
			t.Errorf("%+v, want %+v", o, want[i])
		}
	}
}

// An answer that is no whole page, of whatever kind, must not read as a listing that ends there.
func TestB13_WhatIsNoPageIsNotAnEmptyListing(t *testing.T) {
	whole := head + `<Name>b</Name><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>1</Size></Contents></ListBucketResult>`
	if page, err := Parse([]byte(whole)); err != nil || len(page.Objects) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	for n := range len(whole) {
		if page, err := Parse([]byte(whole[:n])); err == nil {
			t.Fatalf("%q reads as %+v", whole[:n], page)
		}
	}
	for _, bad := range []string{
		"", "<html></html>", head + "</ListBucketResult>", "<Error><Code>SlowDown</Code></Error>", `{"a":1}`, whole + "x", whole + whole, "x" + whole,
		head + `<IsTruncated>maybe</IsTruncated></ListBucketResult>`, head + `<IsTruncated>false</IsTruncated></Other>`,
		strings.Replace(whole, "<Key>k</Key>", "", 1), strings.Replace(whole, "<Size>1</Size>", "", 1), strings.Replace(whole, ">1<", ">-1<", 1),
		strings.Replace(whole, ">1<", ">one<", 1), strings.Replace(whole, ">k<", ">&k;<", 1), strings.Replace(whole, ">k<", "><b/><", 1),
		strings.Replace(whole, ">k<", ">%4<", 1) + "<EncodingType>url</EncodingType>", strings.Replace(whole, ">k<", ">\xff<", 1),
		strings.Replace(whole, "</Contents>", "", 1), strings.Replace(whole, "<Contents>", "text<Contents>", 1),
	} {
		if page, err := Parse([]byte(bad)); !errors.Is(err, errNoPage) {
			t.Errorf("%q reads as %+v, %v", bad, page, err)
		}
	}
}

// reference is what encoding/xml makes of an answer.
type reference struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	IsTruncated           string
	NextContinuationToken string
	EncodingType          string
	Contents              []struct {
		Key  string
		ETag string
		Size string
	}
}

// FuzzParse: whatever the answer, Parse ends without a panic, and what it accepts encoding/xml reads in the same way, or
// not at all.
func FuzzParse(f *testing.F) {
	f.Add([]byte(head + `<Name>b</Name><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><Contents><Key>a%20b+c</Key><Size> 1 </Size><ETag>&quot;e&quot;</ETag></Contents></ListBucketResult>`))
	f.Add([]byte(`<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a&#65;&amp;</NextContinuationToken><X><Y>1</Y></X></ListBucketResult>`))
	f.Add([]byte(head + "<IsTruncated>false</IsTruncated><Contents><Size>2</Size><Key>a\r\nb</Key></Contents></ListBucketResult><!-- end -->"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		page, err := Parse(raw)
		if err != nil {
			return
		}
		var ref reference
		if err := xml.Unmarshal(raw, &ref); err != nil {
			return
		}
		if len(ref.Contents) != len(page.Objects) {
			t.Fatalf("%d objects, want %d", len(page.Objects), len(ref.Contents))
		}
		for i, want := range ref.Contents {
			if ref.EncodingType == "url" {
				if want.Key, err = url.QueryUnescape(want.Key); err != nil {
					t.Fatalf("a key was read from one that is not encoded: %v", err)
				}
			}
			if got := page.Objects[i]; got.Key != want.Key {
				t.Fatalf("%q is read as %q", want.Key, got.Key)
			}
		}
	})
}

func BenchmarkListPage(b *testing.B) {
	var raw strings.Builder
	raw.WriteString(head + "<Name>bench</Name><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType><NextContinuationToken>t</NextContinuationToken>")
	for i := range 1000 {
		fmt.Fprintf(&raw, `<Contents><Key>dir-%04d/object-%08d</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;%032x&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>`, i/10, i, i, i)
	}
	raw.WriteString("</ListBucketResult>")
	page := []byte(raw.String())
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if p, err := Parse(page); err != nil || len(p.Objects) != 1000 {
			b.Fatal(err)
		}
	}
}
