// Package s3page reads the pages of a listing of S3 with little work for each object: the SDKs' decoders take several times as
// long for a page as a server takes to make it.
//
//	driver ── Into(ctx, take) ──> SDK: signs, retries, knows errors ──> Doer or RoundTripper ── request ──> store
//	   ^                            ^                                        │
//	   └──────── take(page) ────────┼────────────── Parse <──────────────────┤
//	                                └─ the same answer without its objects <─┘
package s3page
