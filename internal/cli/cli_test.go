package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1 << 62: "4096.0 PiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTableKeepsColumns(t *testing.T) {
	var b bytes.Buffer
	if err := Table(&b, []string{"NAME", "STATE"}, [][]string{{"a-long-name", "done"}, {"b", ""}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME         STATE\na-long-name  done\nb\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestPlainProgressSaysRateAndTimeLeft(t *testing.T) {
	var b bytes.Buffer
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	p := NewProgress(&b, false)
	p.clock = func() time.Time { return now }
	p.Set("sync", Amounts{Objects: 0, TotalObjects: 100}, false, "")
	now = now.Add(5 * time.Second)
	p.Set("sync", Amounts{Objects: 10, TotalObjects: 100}, false, "")
	if b.Len() != 0 {
		t.Errorf("it spoke too early: %s", b.String())
	}
	now = now.Add(5 * time.Second)
	p.Set("sync", Amounts{Objects: 50, TotalObjects: 100}, false, "5 objects, 2 retries")
	if got := b.String(); !strings.Contains(got, "sync: 50 of 100, 5/s, 10s left, 5 objects, 2 retries") {
		t.Errorf("got %q", got)
	}
	p.End("sync")
	p.Close()
}

func TestPlainProgressOfAnUnknownTotalSaysNoTimeLeft(t *testing.T) {
	var b bytes.Buffer
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	p := NewProgress(&b, false)
	p.clock = func() time.Time { return now }
	p.Set("verify", Amounts{Objects: 0, TotalObjects: 0}, false, "objects")
	now = now.Add(10 * time.Second)
	p.Set("verify", Amounts{Objects: 50, TotalObjects: 0}, false, "objects, 1.0 KiB read")
	if got := b.String(); !strings.HasSuffix(got, "verify: 50, 5/s, objects, 1.0 KiB read\n") {
		t.Errorf("got %q", got)
	}
}

func TestSizesAreReadWithTheirUnits(t *testing.T) {
	for text, want := range map[string]int64{"500k": 500_000, "20M": 20_000_000, "32Mi": 32 << 20, "1GiB": 1 << 30, "7": 7} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%s is read as %d: %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "fast", "99999999999999999999T", "9223372036854775808"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}
