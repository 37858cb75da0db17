package redact

import (
	"context"
	"fmt"
	"log/slog"
)

// handler cleans what is logged before the next one sees it.
type handler struct {
	next slog.Handler
	r    *Redactor
}

// Handler returns a slog.Handler that takes secrets out of messages and attributes before they reach next.
func (r *Redactor) Handler(next slog.Handler) slog.Handler { return &handler{next: next, r: r} }

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, rec slog.Record) error {
	clean := slog.NewRecord(rec.Time, rec.Level, h.r.Text(rec.Message), rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, 0, len(attrs))
	for _, a := range attrs {
		clean = append(clean, h.attr(a))
	}
	return &handler{next: h.next.WithAttrs(clean), r: h.r}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{next: h.next.WithGroup(name), r: h.r}
}

func (h *handler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	if Names(a.Key) && v.Kind() == slog.KindString && v.String() != "" {
		return slog.String(a.Key, h.r.mark(v.String()))
	}
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, h.r.Text(v.String()))
	case slog.KindGroup:
		var inner []any
		for _, x := range v.Group() {
			inner = append(inner, h.attr(x))
		}
		return slog.Group(a.Key, inner...)
	case slog.KindAny:
		// Whatever it is, a person sees its text.
		return slog.String(a.Key, h.r.Text(fmt.Sprint(v.Any())))
	}
	return slog.Attr{Key: a.Key, Value: v}
}

// Error returns an error with the same causes whose text holds no secrets; err itself where it holds none.
func (r *Redactor) Error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := r.Text(text); clean != text {
		return &cleanError{text: clean, err: err}
	}
	return err
}

// cleanError shows a text without secrets in the place of its cause's own.
type cleanError struct {
	text string
	err  error
}

// Error is the clean text.
func (e *cleanError) Error() string { return e.text }

// Unwrap returns the cause.
func (e *cleanError) Unwrap() error { return e.err }
