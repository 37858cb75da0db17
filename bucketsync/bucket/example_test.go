package bucket_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
)

// A driver opens a bucket, and everything after it is the same for all stores.
func Example() {
	ctx := context.Background()
	b, err := memory.Open(ctx, memory.Options{Name: "shop"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	text := "two pairs of shoes"
	_, err = b.Put(ctx, "orders/1", strings.NewReader(text), int64(len(text)), bucket.PutOptions{
		IfAbsent: true, Properties: bucket.Properties{ContentType: "text/plain"},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	for obj, err := range b.List(ctx, bucket.ListOptions{Prefix: "orders/"}) {
		if err != nil { // the listing is not complete
			fmt.Fprintln(os.Stderr, err)
			return
		}
		body, _, err := b.Open(ctx, obj.Key, bucket.ReadOptions{Pin: obj})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		content, err := io.ReadAll(body)
		if err != nil || body.Close() != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		fmt.Fprintf(os.Stdout, "%s, %d bytes: %s\n", obj.Key, obj.Size, content)
	}
	// Output: orders/1, 18 bytes: two pairs of shoes
}
