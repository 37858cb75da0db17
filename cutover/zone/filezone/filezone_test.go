package filezone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
	"github.com/crossfade-project/crossfade/cutover/zone/zonetest"
)

const (
	apex  = "apps.test."
	name  = "shop.apps.test."
	blue  = "blue.lb.test."
	green = "green.lb.test."
	empty = "@ 300 IN SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ 300 IN NS ns1\n"
)

func newZone(t *testing.T, text string) *Driver {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db.apps.test")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	d, err := New(Options{Apex: apex, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put writes sets as another program would that knows nothing of the lock's owner.
func put(t *testing.T, d *Driver, sets ...zone.RRset) {
	t.Helper()
	for _, set := range sets {
		err := d.edit(t.Context(), func(*file) ([]zone.RRset, error) { return []zone.RRset{set}, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func text(t *testing.T, d *Driver) string {
	t.Helper()
	raw, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func set(typ string, ttl uint32, data ...string) zone.RRset {
	return zone.RRset{Name: name, Type: typ, TTL: ttl, Data: data}
}

func change(fence zone.Fence, from, to []zone.RRset) zone.Change {
	return zone.Change{Name: name, Old: from, New: to, Fence: fence}
}

func sets(s ...zone.RRset) []zone.RRset { return s }

func TestFileKeepsTheContract(t *testing.T) {
	d := newZone(t, empty)
	zonetest.Run(t, zonetest.Target{
		Zone: d,
		Put:  func(t *testing.T, sets ...zone.RRset) { t.Helper(); put(t, d, sets...) },
		Query: func(ctx context.Context, name, typ string) (zone.RRset, error) {
			all, err := d.List(ctx)
			if err != nil {
				return zone.RRset{}, err
			}
			z, err := memory.New(apex, all...)
			if err != nil {
				return zone.RRset{}, err
			}
			return z.Lookup(ctx, name, typ)
		},
	})
}

const shops = `; the zone of the shops
$TTL 1h
@	IN SOA ns1 hostmaster ( ; who
		2026112201 ; serial
		7200 3600 1209600 300 )
	IN NS ns1
ns1	A 192.0.2.53

; the shop itself
shop	300 IN CNAME blue.lb.test. ; moves soon
mail	MX 10 mx.test.   ; someone else's
$ORIGIN sub.apps.test.
a	60 A 192.0.2.1
	AAAA 2001:db8::1
	TXT "a; b" ; has the same owner`

// TestOnlyTheLinesOfTheChangeChange: comments, order, blanks and the spelling of all other lines stay, byte for byte.
func TestOnlyTheLinesOfTheChangeChange(t *testing.T) {
	d := newZone(t, shops)
	if err := os.Chmod(d.path, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Swap(t.Context(), change(zone.Fence{}, sets(set("CNAME", 300, blue)), sets(set("CNAME", 60, green)))); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(shops, "shop	300 IN CNAME blue.lb.test.", "shop.apps.test.	60	IN	CNAME	green.lb.test.", 1)
	want = strings.Replace(want, "2026112201 ; serial", "2026112202 ; serial", 1)
	if got := text(t, d); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	if info, err := os.Stat(d.path); err != nil || info.Mode().Perm() != 0o604 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	// The record from which others have their owner goes; they keep it.
	at := "a.sub.apps.test."
	c := zone.Change{Name: at, Old: sets(zone.RRset{Name: at, Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}), Remove: true}
	if _, err := d.Swap(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want = strings.Replace(want, "a	60 A 192.0.2.1\n	AAAA", "a.sub.apps.test.	AAAA", 1)
	want = strings.Replace(want, "2026112202 ; serial", "2026112203 ; serial", 1)
	if got := text(t, d); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	// A new record comes to the end, after a line that has no end.
	made := zone.RRset{Name: "new.apps.test.", Type: "A", TTL: 5, Data: []string{"192.0.2.7"}}
	if _, err := d.Swap(t.Context(), zone.Change{Name: made.Name, New: sets(made)}); err != nil {
		t.Fatal(err)
	}
	want = strings.Replace(want, "2026112203 ; serial", "2026112204 ; serial", 1) + "\nnew.apps.test.	5	IN	A	192.0.2.7\n"
	if got := text(t, d); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(d.path), "*"+nextSuffix))
	if err != nil || len(left) > 0 {
		t.Errorf("beside the file stand %v, %v", left, err)
	}
}

// TestAFileThatMovedIsRefused: another program writes between our reading and our replacing; its text stays.
func TestAFileThatMovedIsRefused(t *testing.T) {
	d := newZone(t, shops)
	theirs := strings.Replace(shops, blue, "theirs.lb.test.", 1)
	d.beforeReplacing = func() {
		if err := os.WriteFile(d.path, []byte(theirs), 0o640); err != nil {
			t.Error(err)
		}
	}
	c := change(zone.Fence{}, sets(set("CNAME", 300, blue)), sets(set("CNAME", 300, green)))
	if _, err := d.Swap(t.Context(), c); !errors.Is(err, zone.ErrMoved) {
		t.Errorf("Swap returned %v, want ErrMoved", err)
	}
	if got := text(t, d); got != theirs {
		t.Errorf("the file is\n%s", got)
	}
}

// TestOthersTTLsAreNotChanged: in a file without $TTL a record may have its TTL from the one before it.
func TestOthersTTLsAreNotChanged(t *testing.T) {
	before := empty + "shop 300 IN CNAME blue.lb.test.\nmail IN A 192.0.2.1\n"
	d := newZone(t, before)
	c := change(zone.Fence{}, sets(set("CNAME", 300, blue)), sets(set("CNAME", 5, blue)))
	if _, err := d.Swap(t.Context(), c); !errors.Is(err, zone.ErrInvalid) || !strings.Contains(err.Error(), "$TTL") {
		t.Errorf("Swap returned %v", err)
	}
	if got := text(t, d); got != before {
		t.Errorf("the file is\n%s", got)
	}
}

func TestSerials(t *testing.T) {
	for soa, want := range map[string]string{
		"@ 300 IN SOA ns1 h 4294967295 1 1 1 1\n":              "@ 300 IN SOA ns1 h 1 1 1 1 1\n",
		"@ 300 SOA ns1 h 7 7 7 7 7 ; 7\n":                      "@ 300 SOA ns1 h 8 7 7 7 7 ; 7\n",
		"@ 300 IN SOA ns1 h (\n ; 3 before\n 3 1 1\n 1 1 )\n":  "@ 300 IN SOA ns1 h (\n ; 3 before\n 4 1 1\n 1 1 )\n",
		"apps.test. IN 300 SOA soa.test. soa.soa. 9 1 1 1 1\n": "apps.test. IN 300 SOA soa.test. soa.soa. 10 1 1 1 1\n",
	} {
		f, err := parse(soa, apex)
		if err != nil {
			t.Errorf("%q: %v", soa, err)
			continue
		}
		if got, err := raiseSerial(f.entries[0]); err != nil || got != want {
			t.Errorf("%q became %q, %v, want %q", soa, got, err, want)
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	c := change(zone.Fence{}, sets(set("CNAME", 300, blue)), sets(set("CNAME", 60, green)))
	shop := "shop 300 IN CNAME blue.lb.test.\n"
	for what, test := range map[string]struct{ text, want string }{
		"an include":    {empty + "$INCLUDE more.db\n" + shop, "line 3: $INCLUDE is not supported"},
		"nonsense":      {empty + shop + "a b c d\n", "line 4"},
		"no SOA":        {shop, "0 SOA"},
		"another zone":  {empty + shop + "x.other.test. 60 A 192.0.2.1\n", "not in the zone"},
		"a signed file": {empty + shop + "shop 300 NSEC apps.test. CNAME\n", "signed"},
	} {
		d := newZone(t, test.text)
		if _, err := d.Swap(t.Context(), c); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
		if err := d.Probe(t.Context(), name); err == nil {
			t.Errorf("%s: the probe found nothing", what)
		}
		if got := text(t, d); got != test.text {
			t.Errorf("%s: the file was changed to\n%s", what, got)
		}
	}
	gone := newZone(t, empty)
	if err := os.Remove(gone.path); err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Lookup(t.Context(), name, "A"); err == nil || errors.Is(err, zone.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	for _, o := range []Options{{Apex: apex, Path: "relative"}, {Apex: "a..b", Path: "/x"}, {Apex: apex}} {
		if _, err := New(o); err == nil {
			t.Errorf("New took %+v", o)
		}
	}
}

// TestALinkIsFollowed: the file behind a link is replaced, and the link stays.
func TestALinkIsFollowed(t *testing.T) {
	d := newZone(t, empty+"shop 300 IN CNAME blue.lb.test.\n")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(d.path, link); err != nil {
		t.Fatal(err)
	}
	through, err := New(Options{Apex: apex, Path: link})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := through.Swap(t.Context(), change(zone.Fence{}, sets(set("CNAME", 300, blue)), sets(set("CNAME", 60, green)))); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 || !strings.Contains(text(t, d), green) {
		t.Errorf("the link is %v, %v; the file holds\n%s", info.Mode(), err, text(t, d))
	}
}

// TestNoUpdateOfAFileIsLost: writers, each by a driver of its own as another process would have it, replace what they read.
func TestNoUpdateOfAFileIsLost(t *testing.T) {
	const writers, each = 16, 8
	d := newZone(t, shops)
	at, err := zone.FenceName(name, apex)
	if err != nil {
		t.Fatal(err)
	}
	fence := zone.Fence{Name: at, Token: "one"}
	if err := d.Claim(t.Context(), name, fence, ""); err != nil {
		t.Fatal(err)
	}
	race := zonetest.ChainRace{Name: name, From: blue, Fence: fence, Each: each}
	for range writers {
		own, err := New(Options{Apex: apex, Path: d.path})
		if err != nil {
			t.Fatal(err)
		}
		race.Writers = append(race.Writers, own)
	}
	race.Run(t)
	got := text(t, d)
	for _, line := range strings.Split(shops, "\n") {
		if !strings.Contains(line, "CNAME") && !strings.Contains(line, "; serial") && !strings.Contains(got, line+"\n") {
			t.Errorf("the line %q is gone", line)
		}
	}
	if !strings.Contains(got, fmt.Sprintf("%d ; serial", 2026112201+1+writers*each)) {
		t.Errorf("the serial was not raised by one for each change:\n%s", got)
	}
}

// FuzzReplace: whatever the file, an edit either is refused or changes the sets that it names and no other record.
func FuzzReplace(f *testing.F) {
	f.Add(shops, "192.0.2.9")
	f.Add(empty+"shop 300 A 192.0.2.1\n 60 A 192.0.2.2 ; x\n\tTXT \"x\"\n", "192.0.2.2")
	f.Add(empty+"shop 300 A 192.0.2.1\r\n\r\n", "192.0.2.2")
	f.Fuzz(func(t *testing.T, text, addr string) {
		if len(text) > 4096 {
			return
		}
		before, err := parse(text, apex)
		if err != nil {
			return
		}
		want := set("A", 60, addr)
		edited, err := before.replace(sets(want))
		if err != nil {
			return
		}
		after, err := parse(edited, apex)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, edited, err)
		}
		if got, ok := after.set(name, "A"); !ok || len(got.Data) != 1 {
			t.Fatalf("%q became %q, which holds %v", text, edited, got)
		}
		if n, m := len(before.sets()), len(after.sets()); m != n && m != n+1 {
			t.Fatalf("%q became %q: %d sets were %d", text, edited, m, n)
		}
	})
}
