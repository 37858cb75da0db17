package bucketsync

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// destinations differ in what they do with the MD5 that comes with an object.
func destinations() map[string]func(*rig) {
	return map[string]func(*rig){
		"checks it": func(*rig) {},
		"is not known to check it": func(r *rig) {
			r.to.caps = func(c *bucket.Capabilities) { c.ChecksMD5 = false }
			r.to.stored = func(o *bucket.PutOptions, _ *[]byte) { o.MD5 = nil }
		},
		"leaves it aside, and acknowledges what it has": func(r *rig) {
			r.to.stored = func(o *bucket.PutOptions, _ *[]byte) { o.MD5 = nil }
		},
		"leaves it aside, and acknowledges nothing": func(r *rig) {
			r.to.noDigests = true
			r.to.stored = func(o *bucket.PutOptions, _ *[]byte) { o.MD5 = nil }
		},
	}
}

// corruptAtSource says that an error names the source as the one that is wrong, by its MD5.
func corruptAtSource(err error) bool {
	var corrupt *CorruptError
	return errors.As(err, &corrupt) && corrupt.Where == "source" && corrupt.Want[:3] == "md5"
}

// The MD5 that the source tells goes to the destination as it is, where that checks it, and nowhere else.
func TestB02_TheMD5OfTheSourceIsPassedOnWhereItIsChecked(t *testing.T) {
	for _, checks := range []bool{true, false} {
		r := newRig(t)
		r.from.write(t, "k", "content")
		r.from.wrongMD5 = true
		var given []string
		r.to.caps = func(c *bucket.Capabilities) { c.ChecksMD5 = checks }
		r.to.stored = func(o *bucket.PutOptions, _ *[]byte) { given = append(given, hex.EncodeToString(o.MD5)) }
		if _, err := r.sync(t); !corruptAtSource(err) {
			t.Fatalf("checked %v: %v", checks, err)
		}
		if want := map[bool]string{true: "[00000000000000000000000000000000]", false: "[]"}[checks]; fmt.Sprint(given) != want {
			t.Fatalf("checked %v: %v was given", checks, given)
		}
	}
}

// Whoever finds it out, a source whose MD5 is not that of its bytes is named, and nothing is taken for copied.
func TestB02_AWrongMD5OfTheSourceIsTheSourcesFault(t *testing.T) {
	for name, destination := range destinations() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.from.write(t, "k", "content")
			destination(r)
			r.from.wrongMD5 = true
			if _, err := r.sync(t); !corruptAtSource(err) {
				t.Fatalf("got %v", err)
			}
			if copied := r.recorded(t); len(copied) > 0 {
				t.Fatalf("taken for copied: %+v", copied)
			}
			r.from.wrongMD5 = false
			r.mustSync(t)
			r.wantEqual(t)
		})
	}
}

// Bytes that are torn between the source's disk and here do not arrive as if they were whole, although no MD5 is computed here.
func TestB08_BytesTornOnTheWayFromTheSourceAreFoundOut(t *testing.T) {
	for name, destination := range destinations() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.from.write(t, "k", "content")
			destination(r)
			r.opts.From = &rot{r.from, "k"}
			if _, err := r.sync(t); !corruptAtSource(err) {
				t.Fatalf("got %v", err)
			}
			r.opts.From = r.from
			r.mustSync(t)
			r.wantEqual(t)
		})
	}
}

// Bytes that are torn on the way to the destination are sent again: nobody's store is wrong.
func TestB08_BytesTornOnTheWayToTheDestinationAreSentAgain(t *testing.T) {
	for _, told := range []bool{true, false} {
		r := newRig(t)
		r.from.noDigests = !told
		r.from.write(t, "k", "content")
		torn := 2
		r.to.stored = func(_ *bucket.PutOptions, raw *[]byte) {
			if torn--; torn >= 0 {
				*raw = bytes.ToUpper(*raw)
			}
		}
		if result := r.mustSync(t); result.Copied != 1 || result.Retries != 2 || r.to.count("put") != 3 {
			t.Fatalf("told %v: %+v, %d writes", told, result, r.to.count("put"))
		}
		r.wantEqual(t)
		rec := r.recorded(t)["k"]
		if rec.Evidence != Acknowledged || rec.MD5 != "9a0364b9e99bb480dd25e1f0284c8555" || rec.Hash == "" {
			t.Fatalf("told %v: %+v", told, rec)
		}
	}
}
