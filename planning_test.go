package crossfade

import (
	"context"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
)

func TestForeignObjectsAtTheDestinationAreRefusedBeforeTheFreeze(t *testing.T) {
	ctx := context.Background()
	open := func(name string) *memory.Bucket {
		b, err := memory.Open(ctx, memory.Options{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	from, to := open("from"), open("to")
	if _, err := to.Put(ctx, "theirs", strings.NewReader("x"), 1, bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	opts := bucketsync.Options{Migration: "m", Stage: "sync/b", Name: "b", From: from, To: to}
	p, err := planSync(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	if refused := p.Err(); refused == nil || !strings.Contains(refused.Error(), "allowExtra: true") {
		t.Errorf("the plan is not refused: %v", refused)
	}
	opts.AllowExtra = true
	if p, err = planSync(ctx, opts); err != nil || p.Err() != nil {
		t.Errorf("allowed, and still refused: %v, %v", err, p.Err())
	}
}
