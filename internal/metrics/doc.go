// Package metrics serves how far copies have come, and how long stores take to answer, in the form that Prometheus reads. It
// is told of things, and asks nobody; nothing is served unless somebody asks for it.
//
//	Copied, Asked ─> Metrics ─ Serve ─> http://127.0.0.1:PORT/metrics
package metrics
