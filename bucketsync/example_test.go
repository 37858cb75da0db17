package bucketsync_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func Example() {
	ctx := context.Background()
	blue, err := memory.Open(ctx, memory.Options{Name: "blue"})
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return
	}
	green, err := memory.Open(ctx, memory.Options{Name: "green"})
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return
	}
	for _, key := range []string{"cart/1", "cart/2", "logo.svg"} {
		if _, err := blue.Put(ctx, key, strings.NewReader("hello"), 5, bucket.PutOptions{}); err != nil {
			fmt.Fprintln(os.Stdout, err)
			return
		}
	}
	state, err := os.MkdirTemp("", "example-*")
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return
	}
	defer func() { _ = os.RemoveAll(state) }()

	opts := bucketsync.Options{
		Migration: "shop-to-green", Stage: "sync/shop", Name: "shop", From: blue, To: green,
		Manifest: filepath.Join(state, "shop.manifest"), Final: true,
	}
	p, err := bucketsync.Plan(ctx, opts)
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return
	}
	fmt.Fprintln(os.Stdout, p.Changes[0].Why)

	result, err := bucketsync.Apply(ctx, p, &plan.MemoryRecorder{}, opts)
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return
	}
	fmt.Fprintln(os.Stdout, "copied", result.Copied, "equal", result.Proof.Equal, "acknowledged", result.Proof.Evidence[bucketsync.Acknowledged])
	// Output:
	// copy 3 objects, 15 B; delete 0; again until nothing is left, then prove both sides equal
	// copied 3 equal true acknowledged 3
}
