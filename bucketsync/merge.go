package bucketsync

import (
	"context"
	"iter"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// pair is what both sides and the manifest have under one key.
type pair struct {
	key      string
	src, dst *bucket.Object
	rec      *Record
	// blocked is what stands above the key at the destination in the place of a directory.
	blocked bucket.Irregular
}

// sources are the three sequences of a comparison, each in the order of its keys.
type sources struct {
	src, dst func(context.Context) iter.Seq2[[]bucket.Object, error]
	recs     func(context.Context) iter.Seq2[[]Record, error]
	// enough tells a listing, by the last key of a page, that no further page is wanted.
	enough func(key string) bool
}

// merger walks three streams side by side.
type merger struct {
	src, dst *stream[bucket.Object]
	rec      *stream[Record]
	last     string // the key that was taken last
}

// openMerger starts the streams. Close must be called.
func openMerger(ctx context.Context, s sources) *merger {
	keyOf := func(o *bucket.Object) string { return o.Key }
	m := &merger{
		src: open(ctx, "list the source", keyOf, s.src, s.enough),
		dst: open(ctx, "list the destination", keyOf, s.dst, s.enough),
		rec: open(ctx, "read the manifest", func(r *Record) string { return r.Key }, s.recs, s.enough),
	}
	m.src.turn()
	m.dst.turn()
	m.rec.turn()
	return m
}

func (m *merger) close() {
	m.src.stop()
	m.dst.stop()
	m.rec.stop()
}

// err is the first error of a stream.
func (m *merger) err() error {
	switch {
	case m.src.err != nil:
		return m.src.err
	case m.dst.err != nil:
		return m.dst.err
	}
	return m.rec.err
}

// least is the key that comes next.
func (m *merger) least() (key string, ok bool) {
	if m.src.ok {
		key, ok = m.src.key, true
	}
	if m.dst.ok && (!ok || m.dst.key < key) {
		key, ok = m.dst.key, true
	}
	if m.rec.ok && (!ok || m.rec.key < key) {
		key, ok = m.rec.key, true
	}
	return key, ok
}

// take gives what the streams have under a key, which is the least, and moves on. It reports whether a stream came to another page.
func (m *merger) take(key string) (p pair, turned bool) {
	p.key, m.last = key, key
	if m.src.ok && m.src.key == key {
		p.src = &m.src.page[m.src.at]
		turned = m.src.advance()
	}
	if m.dst.ok && m.dst.key == key {
		p.dst = &m.dst.page[m.dst.at]
		turned = m.dst.advance() || turned
	}
	if m.rec.ok && m.rec.key == key {
		p.rec = &m.rec.page[m.rec.at]
		turned = m.rec.advance() || turned
	}
	return p, turned
}

// merge calls visit with every key of any sequence once, in order, with what each has under it. Before the first, and whenever a
// stream comes to another page, turned says before which key to end; "" is no end. An error of any sequence ends it, unless it is of a page
// that was fetched ahead and never come to: that lies behind the end, and is listed again by who walks there (B13).
func (m *merger) merge(turned func(*merger) (limit string), visit func(pair) error) error {
	limit := turned(m)
	for {
		if err := m.err(); err != nil {
			return err
		}
		key, ok := m.least()
		if !ok || limit != "" && key >= limit {
			return nil
		}
		p, another := m.take(key)
		if err := visit(p); err != nil {
			return err
		}
		if another {
			limit = turned(m)
		}
	}
}

// settled is the key up to which the streams' pages decide everything: what lies behind it may still be given to another. At the
// end of all, ok is false.
func (m *merger) settled() (key string, ok bool) {
	for _, last := range []struct {
		ok  bool
		key string
	}{{m.src.ok, m.src.last()}, {m.dst.ok, m.dst.last()}, {m.rec.ok, m.rec.last()}} {
		if last.ok && (!ok || last.key < key) {
			key, ok = last.key, true
		}
	}
	return key, ok
}
