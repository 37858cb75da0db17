package bucket

import (
	"context"
	"iter"
)

// pageSize is how many objects a page has that is put together here.
const pageSize = 1000

// Pager is the optional ability to list page by page, beginning at any key without reading those before it.
//
// Pages yields the objects of the range as the store answered them, in its own order: what came in one answer is one page, which
// is the caller's. What List promises of errors holds (B13). Objects that lie in front of After or behind Before are left out,
// with one exception: a store that was asked to begin behind After and shows a key in front of it has another order than it
// declares, and Pages ends with ErrUnordered. The context ends it at any page.
type Pager interface {
	Pages(ctx context.Context, opts ListOptions) iter.Seq2[[]Object, error]
}

// Pages lists page by page: as the store answers where it is a Pager, else in pages put together from List.
func Pages(ctx context.Context, l Lister, opts ListOptions) iter.Seq2[[]Object, error] {
	if p, ok := l.(Pager); ok {
		return p.Pages(ctx, opts)
	}
	return Paged(l.List(ctx, opts))
}

// Paged puts pages together. What came before an error is passed on before it.
func Paged(objects iter.Seq2[Object, error]) iter.Seq2[[]Object, error] {
	return func(yield func([]Object, error) bool) {
		var page []Object
		for obj, err := range objects {
			if err != nil {
				if len(page) == 0 || yield(page, nil) {
					yield(nil, err)
				}
				return
			}
			if page == nil {
				page = make([]Object, 0, pageSize)
			}
			if page = append(page, obj); len(page) == pageSize {
				if !yield(page, nil) {
					return
				}
				page = nil
			}
		}
		if len(page) > 0 {
			yield(page, nil)
		}
	}
}

// Unpaged takes pages apart.
func Unpaged(pages iter.Seq2[[]Object, error]) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for page, err := range pages {
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, obj := range page {
				if !yield(obj, nil) {
					return
				}
			}
		}
	}
}
